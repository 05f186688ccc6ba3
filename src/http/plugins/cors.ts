import cors from '@fastify/cors'
import type { FastifyInstance } from 'fastify'
import type { Config } from '../../config.ts'

/** What pages may read of an answer beside its body. */
const EXPOSED = [
  ...['X-Request-Id', 'Server-Timing', 'Retry-After', 'Location', 'ETag', 'Preference-Applied'],
  ...['Allow', 'Content-Range', 'Content-Disposition', 'Inference-Header-Content-Length'],
]

/**
 * Lets pages of the origins of CORS_ORIGINS call from a browser. Preflights carry no key, so they are answered before one
 * is asked for; cookies are never taken, keys go in a header.
 */
export async function allowOrigins(
  app: FastifyInstance,
  { CORS_ORIGINS: origins }: Pick<Config, 'CORS_ORIGINS'>,
): Promise<void> {
  if (origins === undefined) return
  await app.register(cors, {
    origin: origins === '*' ? '*' : origins.split(','),
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'],
    exposedHeaders: EXPOSED,
    maxAge: 600,
    strictPreflight: false,
  })
}
