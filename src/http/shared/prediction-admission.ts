import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import { untilAborted } from '../../common/cancellation.ts'
import { ServiceError } from '../../common/errors.ts'
import type { Place } from '../../serving/prediction/permit.ts'
import type { Model } from '../../serving/models/model.ts'
import { reserveDecoded } from './body-encoding.ts'
import { announcedBytes, growPlace } from '../plugins/body-budget.ts'
import { statusOf, toServiceError } from '../plugins/error-handler.ts'
import { HUNG_UP } from './client-abort.ts'
import { incomingOf } from './incoming-requests.ts'
import type { Services } from './services.ts'

export interface Admittance {
  /** For the route's `onRequest`. */
  readonly admit: onRequestHookHandler
  /** For the route's `errorHandler`. */
  readonly refuseInTurn: (error: unknown, request: FastifyRequest, reply: FastifyReply) => void
  /** The place of a request that was admitted. */
  readonly placeOf: (request: FastifyRequest) => Place
  /** The model it was admitted for, which may have been deleted since. */
  readonly modelOf: (request: FastifyRequest) => Model
}

/**
 * Lets prediction requests in by their head, before a byte of their body is read: one that finds no place costs no
 * memory. The place is left with the answer, when the client hangs up, when its body makes no progress, or when the
 * prediction takes too long after its body.
 *
 * What was let in and turns out to be unusable is refused no sooner than the batch is done that is being computed.
 * Refused at once, a client who sends broken images as fast as he is answered would come back hundreds of times a second,
 * and reading them would take the processors from those who are served.
 */
export function admittance({ registry, admission, batcher, config, usage }: Services): Admittance {
  const admitted = new WeakMap<FastifyRequest, { readonly place: Place; readonly model: Model }>()
  const admittedOf = (request: FastifyRequest) => {
    const found = admitted.get(request)
    if (found === undefined) throw new TypeError('the route admits nobody')
    return found
  }
  return {
    admit: (request, reply, done) => {
      const model = registry.find((request.params as { readonly model: string }).model)
      const { record } = model
      const announced = Math.min(announcedBytes(request), config.MAX_BODY_BYTES)
      const place = admission.admit({ client: request.caller, model: record.id }, announced)
      admitted.set(request, { place, model })
      reserveDecoded(request, (more) => {
        growPlace(place, more, config.MAX_BODY_BYTES)
      })
      reply.raw.once('close', () => {
        place.leave(HUNG_UP)
      })
      request.server.arrivals.follow(incomingOf(request), place, () => {
        leaveInTime(place, reply, config.REQUEST_TIMEOUT_MS)
      })
      reply.raw.once('close', () => {
        const answered = reply.raw.writableFinished && reply.statusCode < 400
        if (!answered) usage.failed(record.id, reply.elapsedTime)
      })
      done()
    },
    refuseInTurn: (error, request, reply) => {
      // To the handler of all routes, unless the deadline was answered meanwhile.
      const answer = (): void => {
        if (!reply.sent) void reply.send(error)
      }
      const place = admitted.get(request)?.place
      const status = statusOf[toServiceError(error).code]
      if (place === undefined || status >= 500 || status === 429) answer()
      // Whoever has hung up, or waits too long already, waits no longer.
      else untilAborted(batcher.turn(), place.signal).then(answer, answer)
    },
    placeOf: (request) => admittedOf(request).place,
    modelOf: (request) => admittedOf(request).model,
  }
}

function leaveInTime(place: Place, reply: FastifyReply, timeoutMs: number): void {
  const timer = setTimeout(() => {
    place.leave(
      new ServiceError(
        'DEADLINE_EXCEEDED',
        'the prediction took longer than REQUEST_TIMEOUT_MS; try again, or raise it',
      ),
    )
  }, timeoutMs)
  reply.raw.once('close', () => {
    clearTimeout(timer)
  })
}
