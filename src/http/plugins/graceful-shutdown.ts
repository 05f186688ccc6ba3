import type { FastifyReply } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../../config.ts'
import { findIncoming } from '../shared/incoming-requests.ts'
import { createShutdownError } from '../../common/errors.ts'
import { abortResponse } from '../shared/shutdown-signal.ts'
import type { LingeringConnections } from './lingering-close.ts'

/** Time for sent bytes to leave before a connection is closed. */
const FLUSH_MS = 100
/** At this fraction of SHUTDOWN_TIMEOUT_MS the remaining requests get 503, so that clients get a response. */
const REJECT_AT = 0.75
/** At this fraction of SHUTDOWN_TIMEOUT_MS connections that still send discarded bytes are closed. */
const CLOSE_AT = 0.9

interface Options {
  readonly config: Pick<Config, 'SHUTDOWN_TIMEOUT_MS'>
  readonly isDraining: () => boolean
  readonly lingering: LingeringConnections
}

/**
 * Finishes requests before the service stops. While it drains, every response closes its connection. From the end of
 * listening on, started requests are answered, and later requests of open connections are rejected, as are requests that
 * cannot finish in time. When none is left, all connections are closed; an idle one would keep the server open.
 */
export const gracefulShutdown = fp<Options>(
  (app, { config: { SHUTDOWN_TIMEOUT_MS }, isDraining, lingering }, done) => {
    let closing = false
    const pending = new Set<FastifyReply>()
    const isFinished = (): boolean => closing && pending.size === 0 && lingering.size === 0
    const closeAll = (): void => {
      if (isFinished()) app.server.closeAllConnections()
    }
    const closeAfterFlush = (): void => {
      if (isFinished()) setTimeout(closeAll, FLUSH_MS).unref()
    }
    lingering.onEmpty = closeAfterFlush
    app.addHook('preClose', (next) => {
      closing = true
      setTimeout(() => {
        for (const reply of pending) rejectPending(reply)
      }, REJECT_AT * SHUTDOWN_TIMEOUT_MS).unref()
      setTimeout(() => {
        if (pending.size === 0) app.server.closeAllConnections()
      }, CLOSE_AT * SHUTDOWN_TIMEOUT_MS).unref()
      closeAfterFlush()
      next()
    })
    app.addHook('onRequest', (_request, reply, next) => {
      pending.add(reply)
      if (isDraining()) void reply.header('connection', 'close')
      reply.raw.once('close', () => {
        pending.delete(reply)
        closeAfterFlush()
      })
      next(closing ? createShutdownError() : undefined)
    })
    done()
  },
  { name: 'graceful-shutdown', dependencies: ['error-handler'] },
)

/** Answers a pending request with 503, or ends its response if it has begun. */
function rejectPending(reply: FastifyReply): void {
  const { raw, sent } = reply
  const endsItself = abortResponse(reply)
  // The rest of the body is not read.
  raw.once('finish', () => {
    findIncoming(reply.request)?.fail(createShutdownError())
  })
  if (sent) return
  if (!raw.headersSent) {
    void reply.header('connection', 'close').send(createShutdownError())
    // The handler returns later, and Fastify would log that the reply was already sent.
    reply.log = reply.log.child({}, { level: 'silent' })
  } else if (!endsItself) {
    reply.log.warn('a response is cut off: it had begun and did not end before SHUTDOWN_TIMEOUT_MS')
    raw.destroy()
  }
}
