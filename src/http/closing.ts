import type { FastifyInstance } from 'fastify'
import { ServiceError } from '../errors.ts'

/** What is on its way to a client gets this long to leave before its connection is cut. */
const FLUSH_MS = 100

/** The rest of a refused form is read away, or the next request of its connection would never be. */
export function readRefusedAway(app: FastifyInstance): void {
  app.addHook('onResponse', ({ raw }, _reply, done) => {
    raw.unpipe().resume()
    done()
  })
}

/**
 * Ends well: while it drains every answer ends its connection, so that clients go elsewhere with their next request. From
 * the end of listening on, what was begun is answered, what comes later on a connection that is kept alive is refused,
 * and when nothing is left every connection is cut; one that never sent a request would keep the server open.
 */
export function closeOrderly(app: FastifyInstance, draining: () => boolean): void {
  let closing = false
  let answering = 0
  const cut = (): void => {
    if (closing && answering === 0) app.server.closeAllConnections()
  }
  const cutSoon = (): void => {
    if (closing && answering === 0) setTimeout(cut, FLUSH_MS).unref()
  }
  app.addHook('preClose', (done) => {
    closing = true
    cutSoon()
    done()
  })
  app.addHook('onRequest', (_request, reply, done) => {
    answering += 1
    if (draining()) void reply.header('connection', 'close')
    reply.raw.once('close', () => {
      answering -= 1
      cutSoon()
    })
    done(closing ? new ServiceError('SHUTTING_DOWN', 'the service is shutting down') : undefined)
  })
}
