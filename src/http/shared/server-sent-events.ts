import { PassThrough } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { CallOptions } from '../../common/cancellation.ts'
import { ServiceError } from '../../common/errors.ts'
import { abortOnClose } from './client-abort.ts'
import { toProblem, toServiceError } from './problem.ts'
import { EVENTS, toJson } from './schema-parts.ts'
import { createShutdownSignal } from './shutdown-signal.ts'

/**
 * Runs a job and answers with its result. The job is aborted when the client disconnects, or when a shutdown cannot wait
 * for it. Under `Accept: text/event-stream` the response starts with the job: events `progress`, then `result`, or
 * `error` with a problem document. An error before the first event is answered with its status.
 */
export async function answerJob<R>(
  request: FastifyRequest,
  reply: FastifyReply,
  job: (options: CallOptions) => Promise<R>,
): Promise<R> {
  const signal = AbortSignal.any([abortOnClose(reply), createShutdownSignal(reply)])
  const type = request.accepts().type(['application/json', EVENTS])
  if (typeof type !== 'string')
    throw new ServiceError('NOT_ACCEPTABLE', `available types are application/json and ${EVENTS}`)
  if (type !== EVENTS) return job({ signal })

  const stream = new PassThrough()
  const send = (event: string, data: unknown): void => {
    stream.write(`event: ${event}\ndata: ${toJson(data)}\n\n`)
  }
  let start = (): void => undefined
  const started = new Promise<void>((resolve) => (start = resolve))
  const result = job({
    signal,
    progress: (progress) => {
      send('progress', progress)
      start()
    },
  })
  void result
    .then(
      (value) => {
        send('result', value)
      },
      (error: unknown) => {
        const problem = toProblem(toServiceError(error))
        if (problem.status === 500) request.log.error({ err: error }, 'request failed')
        send('error', problem.body)
      },
    )
    .finally(() => stream.end())
  await Promise.race([started, result])
  void reply.type(EVENTS).header('cache-control', 'no-store')
  return reply.send(stream) as R
}
