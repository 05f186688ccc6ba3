import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import { raceAbort } from '../../common/cancellation.ts'
import { ServiceError } from '../../common/errors.ts'
import type { Permit } from '../../serving/prediction/permit.ts'
import type { Model } from '../../serving/models/model.ts'
import { reserveDecoded } from './body-encoding.ts'
import { announcedBytes, growPlace } from '../plugins/body-budget.ts'
import { statusOf, toServiceError } from '../plugins/error-handler.ts'
import { CLIENT_ABORTED } from './client-abort.ts'
import { incomingOf } from './incoming-requests.ts'
import type { Services } from './services.ts'

export interface PredictionAdmission {
  /** For the route's `onRequest`. */
  readonly admit: onRequestHookHandler
  /** For the route's `errorHandler`. */
  readonly delayClientErrors: (error: unknown, request: FastifyRequest, reply: FastifyReply) => void
  /** The place of a request that was admitted. */
  readonly permitOf: (request: FastifyRequest) => Permit
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
export function createPredictionAdmission({
  registry,
  admission,
  batcher,
  config,
  usage,
}: Services): PredictionAdmission {
  const admitted = new WeakMap<FastifyRequest, { readonly permit: Permit; readonly model: Model }>()
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
      const permit = admission.admit({ client: request.caller, model: record.id }, announced)
      admitted.set(request, { permit: permit, model })
      reserveDecoded(request, (more) => {
        growPlace(permit, more, config.MAX_BODY_BYTES)
      })
      reply.raw.once('close', () => {
        permit.release(CLIENT_ABORTED)
      })
      request.server.arrivals.follow(incomingOf(request), permit, () => {
        releaseOnTimeout(permit, reply, config.REQUEST_TIMEOUT_MS)
      })
      reply.raw.once('close', () => {
        const answered = reply.raw.writableFinished && reply.statusCode < 400
        if (!answered) usage.failed(record.id, reply.elapsedTime)
      })
      done()
    },
    delayClientErrors: (error, request, reply) => {
      // To the handler of all routes, unless the deadline was answered meanwhile.
      const answer = (): void => {
        if (!reply.sent) void reply.send(error)
      }
      const permit = admitted.get(request)?.permit
      const status = statusOf[toServiceError(error).code]
      if (permit === undefined || status >= 500 || status === 429) answer()
      // Whoever has hung up, or waits too long already, waits no longer.
      else raceAbort(batcher.inFlightSettled(), permit.signal).then(answer, answer)
    },
    permitOf: (request) => admittedOf(request).permit,
    modelOf: (request) => admittedOf(request).model,
  }
}

function releaseOnTimeout(permit: Permit, reply: FastifyReply, timeoutMs: number): void {
  const timer = setTimeout(() => {
    permit.release(
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
