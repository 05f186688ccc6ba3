import { PassThrough } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { CallOptions } from '../../common/cancellation.ts'
import { ServiceError } from '../../common/errors.ts'
import { refusal } from '../plugins/graceful-shutdown.ts'
import { toProblem, toServiceError } from '../plugins/error-handler.ts'
import { hangUp } from './client-abort.ts'
import { EVENTS, toJson } from './schema-parts.ts'

/**
 * Answers with what a long job gives; whoever hangs up ends it, and so does a stop that cannot wait for it. Under
 * `Accept: text/event-stream` the answer begins when the job does: events `progress` on the way, then `result`, or `error`
 * with the problem. What is refused before that is answered by its status.
 */
export async function answerJob<R>(
  request: FastifyRequest,
  reply: FastifyReply,
  job: (control: CallOptions) => Promise<R>,
): Promise<R> {
  const signal = AbortSignal.any([hangUp(reply), refusal(reply)])
  const type = request.accepts().type(['application/json', EVENTS])
  if (typeof type !== 'string')
    throw new ServiceError('NOT_ACCEPTABLE', `offered are application/json and ${EVENTS}`)
  if (type !== EVENTS) return job({ signal })

  const stream = new PassThrough()
  const say = (event: string, data: unknown): void => {
    stream.write(`event: ${event}\ndata: ${toJson(data)}\n\n`)
  }
  let begin = (): void => undefined
  const begun = new Promise<void>((resolve) => (begin = resolve))
  const result = job({
    signal,
    progress: (progress) => {
      say('progress', progress)
      begin()
    },
  })
  void result
    .then(
      (value) => {
        say('result', value)
      },
      (error: unknown) => {
        const problem = toProblem(toServiceError(error))
        if (problem.status === 500) request.log.error({ err: error }, 'request failed')
        say('error', problem.body)
      },
    )
    .finally(() => stream.end())
  await Promise.race([begun, result])
  void reply.type(EVENTS).header('cache-control', 'no-store')
  return reply.send(stream) as R
}
