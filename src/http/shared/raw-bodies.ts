import type { FastifyRequest } from 'fastify'
import type { App } from './app-instance.ts'

/**
 * Configures a scope for the other protocols. Bodies are bytes under any content type, because clients send JSON without
 * a type or as curl's default, `application/octet-stream`. JSON responses have the plain type `application/json`.
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
    // Fastify adds a charset, but some clients compare the whole type.
    if (String(reply.getHeader('content-type')).startsWith('application/json'))
      void reply.header('content-type', 'application/json')
    done(null, payload)
  })
}

/** The body in a scope of raw bodies; empty without a body. */
export function readRawBody({ body }: FastifyRequest): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.alloc(0)
}
