import fastifyCors from '@fastify/cors'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../../config.ts'

/** Response headers that pages may read. */
const EXPOSED = [
  ...['X-Request-Id', 'Server-Timing', 'Retry-After', 'Location', 'ETag', 'Preference-Applied'],
  ...['Allow', 'Content-Range', 'Content-Disposition', 'Inference-Header-Content-Length'],
]

/**
 * Allows cross-origin requests from the pages of CORS_ORIGINS. Preflights have no key, so they are answered before
 * authentication. Keys go in a header; cookies are never read.
 */
export const cors = fp(
  async (app: FastifyInstance, { config }: { readonly config: Pick<Config, 'CORS_ORIGINS'> }) => {
    const { CORS_ORIGINS: origins } = config
    if (origins === undefined) return
    await app.register(fastifyCors, {
      origin: origins === '*' ? '*' : origins.split(','),
      methods: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'],
      exposedHeaders: EXPOSED,
      maxAge: 600,
      strictPreflight: false,
    })
  },
  { name: 'cors' },
)
