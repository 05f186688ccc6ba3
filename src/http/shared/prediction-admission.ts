import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import { raceAbort } from '../../common/cancellation.ts'
import { ERRORS, ServiceError } from '../../common/errors.ts'
import type { Config } from '../../config.ts'
import type { Model } from '../../serving/models/model.ts'
import type { Registry } from '../../serving/models/registry.ts'
import type { Admission } from '../../serving/prediction/admission.ts'
import type { Batcher } from '../../serving/prediction/batcher.ts'
import type { Permit } from '../../serving/prediction/permit.ts'
import type { Usage } from '../../serving/prediction/usage.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import { announcedBytes, growPermit } from './body-permit.ts'
import { CLIENT_ABORTED } from './client-abort.ts'
import { findIncoming } from './incoming-requests.ts'
import { toServiceError } from './problem.ts'

export interface PredictionAdmission {
  /** The `onRequest` hook of a prediction route. */
  readonly admit: onRequestHookHandler
  /** The `errorHandler` of a prediction route. */
  readonly delayClientErrors: (error: unknown, request: FastifyRequest, reply: FastifyReply) => void
  /** The permit of an admitted request. */
  readonly findPermit: (request: FastifyRequest) => Permit
  /** The model of an admitted request, which may have been deleted since. */
  readonly findModel: (request: FastifyRequest) => Model
}

interface Context {
  readonly registry: Registry
  readonly admission: Admission
  readonly batcher: Batcher
  readonly usage: Usage
  readonly metrics: Metrics
  readonly config: Pick<Config, 'MAX_BODY_BYTES' | 'REQUEST_TIMEOUT_MS'>
}

/**
 * Admits prediction requests by their head, before the body is read: a rejected request takes no memory. The permit is
 * released with the response, when the client disconnects, when the body stalls, or when the prediction exceeds
 * REQUEST_TIMEOUT_MS after its body.
 *
 * The response to an invalid request waits until the batches in flight are done. Otherwise a client that sends a broken
 * image after each response would send hundreds of requests a second, and reading them would take the processors from
 * valid requests.
 */
export function createPredictionAdmission(context: Context): PredictionAdmission {
  const { registry, admission, batcher, usage, metrics, config } = context
  const admitted = new WeakMap<FastifyRequest, { readonly permit: Permit; readonly model: Model }>()
  const findAdmitted = (request: FastifyRequest) => {
    const found = admitted.get(request)
    if (found === undefined) throw new TypeError('the route has no admission hook')
    return found
  }
  return {
    admit: (request, reply, done) => {
      const model = registry.find((request.params as { readonly model: string }).model)
      const { record } = model
      const announced = Math.min(announcedBytes(request), config.MAX_BODY_BYTES)
      const permit = admission.admit({ client: request.caller, model: record.id }, announced)
      admitted.set(request, { permit, model })
      request.onDecoded = (more) => {
        growPermit(permit, more, config.MAX_BODY_BYTES)
      }
      request.server.arrivals.follow(findIncoming(request), permit, () => {
        releaseOnTimeout(permit, reply, config.REQUEST_TIMEOUT_MS)
      })
      reply.raw.once('close', () => {
        permit.release(CLIENT_ABORTED)
        metrics.models.request(record.id, reply.elapsedTime)
        const succeeded = reply.raw.writableFinished && reply.statusCode < 400
        if (!succeeded) usage.failed(record.id, reply.elapsedTime)
      })
      done()
    },
    delayClientErrors: (error, request, reply) => {
      // A deadline may have been answered meanwhile.
      const answer = (): void => {
        if (!reply.sent) void reply.send(error)
      }
      const permit = admitted.get(request)?.permit
      const { status } = ERRORS[toServiceError(error).code]
      if (permit === undefined || status >= 500 || status === 429) answer()
      // A released permit ends the delay.
      else raceAbort(batcher.inFlightSettled(), permit.signal).then(answer, answer)
    },
    findPermit: (request) => findAdmitted(request).permit,
    findModel: (request) => findAdmitted(request).model,
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
