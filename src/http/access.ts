import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Config } from '../config.ts'
import { ServiceError } from '../errors.ts'

const LOOPBACK = ['127.0.0.1', '::1', 'localhost']
/** What orchestrators and people need before they have a key. */
const OPEN_PATHS = /^\/(|livez|readyz|v2\/health\/(live|ready)|openapi\.json|docs(\/.*)?|page\/.*)$/

/** A fresh key where the service listens wider than loopback and nobody said that anyone may call. */
export function requiredKey({ HOST, ALLOW_ANONYMOUS }: Config): string | undefined {
  return ALLOW_ANONYMOUS || LOOPBACK.includes(HOST) ? undefined : randomBytes(24).toString('base64url')
}

/** Whether a path is answered without a key. */
export const isOpen = (path: string): boolean => OPEN_PATHS.test(path)

/** Refuses calls without the key, given as `Authorization: Bearer <key>` or `X-API-Key`. */
export function demandKey(app: FastifyInstance, key: string): void {
  const expected = digest(key)
  app.addHook('onRequest', (request, _reply, done) => {
    const path = request.url.split('?', 1)[0] ?? ''
    const allowed = isOpen(path) || timingSafeEqual(digest(givenKey(request)), expected)
    done(
      allowed
        ? undefined
        : new ServiceError(
            'UNAUTHORIZED',
            'send the key as "Authorization: Bearer <key>" or "X-API-Key: <key>"; the log had it at start',
          ),
    )
  })
}

function givenKey({ headers }: FastifyRequest): string {
  const header = headers['x-api-key']
  if (typeof header === 'string') return header
  return headers.authorization?.replace(/^Bearer /i, '') ?? ''
}

/** Digests have one length, so comparing them tells nothing about the key's. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
