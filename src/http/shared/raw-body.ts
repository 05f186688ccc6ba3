import type { FastifyRequest } from 'fastify'
import type { App } from './services.ts'

/**
 * What the protocols of others ask of a scope: every body is bytes, whatever type it is said to have or none at all (what
 * clients send is curl's default, `application/octet-stream` for JSON, or nothing), and JSON is answered as plain
 * `application/json`. Their errors are the error handler's.
 */
export function acceptRawBodies(scope: App): void {
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
    done(null, body)
  })
  scope.addHook('onRequest', ({ headers }, _reply, done) => {
    delete headers['content-type']
    done()
  })
  scope.addHook('onSend', (_request, reply, payload, done) => {
    // Without the charset Fastify adds: some clients compare the type as a whole.
    if (String(reply.getHeader('content-type')).startsWith('application/json'))
      void reply.header('content-type', 'application/json')
    done(null, payload)
  })
}

/** A body as its scope takes it; empty where there was none. */
export function bodyOf({ body }: FastifyRequest): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.alloc(0)
}
