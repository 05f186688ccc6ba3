import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Config } from '../../config.ts'
import { ServiceError } from '../../common/errors.ts'
import { incomingOf } from '../shared/incoming-requests.ts'
import type { Lingerers } from './lingering-close.ts'

/** What is on its way to a client gets this long to leave before its connection is cut. */
const FLUSH_MS = 100
/** Of SHUTDOWN_TIMEOUT_MS: then the rest is refused, so that whoever waits hears of it and the children can end. */
const REFUSED_AT = 0.75
/** Then connections that still send what nobody reads are cut. */
const CUT_AT = 0.9

/** Emitted by a response that must end now. */
const REFUSED = Symbol('refused')

/** Aborts with SHUTTING_DOWN when an answer that has begun must end by itself, because no status can refuse it any more. */
export function refusal({ raw }: FastifyReply): AbortSignal {
  const controller = new AbortController()
  raw.once(REFUSED, () => {
    controller.abort(refused())
  })
  return controller.signal
}

/** The rest of a refused body is read away, or the next request of its connection would never be. */
export function discardRefusedBodies(app: FastifyInstance, lingerers: Lingerers): void {
  lingerers.watch(app.server)
  app.addHook('onResponse', (request, _reply, done) => {
    lingerers.readAway(incomingOf(request))
    done()
  })
}

/**
 * Ends well: while it drains every answer ends its connection, so that clients go elsewhere with their next request. From
 * the end of listening on, what was begun is answered, what comes later on a connection that is kept alive is refused, as
 * is what cannot be answered in time, and when nothing is left every connection is cut; one that never sent a request
 * would keep the server open.
 */
export function shutDownGracefully(
  app: FastifyInstance,
  { SHUTDOWN_TIMEOUT_MS }: Pick<Config, 'SHUTDOWN_TIMEOUT_MS'>,
  draining: () => boolean,
  lingerers: Lingerers,
): void {
  let closing = false
  const answering = new Set<FastifyReply>()
  const isDone = (): boolean => closing && answering.size === 0 && lingerers.size === 0
  const cut = (): void => {
    if (isDone()) app.server.closeAllConnections()
  }
  const cutSoon = (): void => {
    if (isDone()) setTimeout(cut, FLUSH_MS).unref()
  }
  lingerers.whenNone = cutSoon
  const refuseTheRest = (): void => {
    for (const reply of answering) {
      const { raw, sent } = reply
      const endsItself = raw.emit(REFUSED)
      // Whatever of its body is still to come is not waited for.
      raw.once('finish', () => {
        incomingOf(reply.request)?.fail(refused())
      })
      if (sent) continue
      if (!raw.headersSent) {
        void reply.header('connection', 'close').send(refused())
        // Its handler ends later, and Fastify would log that the reply was already sent.
        reply.log = reply.log.child({}, { level: 'silent' })
      } else if (!endsItself) {
        reply.log.warn('an answer is cut off: it had begun and would not end before SHUTDOWN_TIMEOUT_MS')
        raw.destroy()
      }
    }
  }
  app.addHook('preClose', (done) => {
    closing = true
    setTimeout(refuseTheRest, REFUSED_AT * SHUTDOWN_TIMEOUT_MS).unref()
    setTimeout(() => {
      if (answering.size === 0) app.server.closeAllConnections()
    }, CUT_AT * SHUTDOWN_TIMEOUT_MS).unref()
    cutSoon()
    done()
  })
  app.addHook('onRequest', (_request, reply, done) => {
    answering.add(reply)
    if (draining()) void reply.header('connection', 'close')
    reply.raw.once('close', () => {
      answering.delete(reply)
      cutSoon()
    })
    done(closing ? refused() : undefined)
  })
}

const refused = (): ServiceError => new ServiceError('SHUTTING_DOWN', 'the service is shutting down')
