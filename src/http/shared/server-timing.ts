import type { FastifyReply } from 'fastify'
import type { Prediction } from './prediction.ts'

/** Sets the `Server-Timing` header to the costs of a prediction. */
export function setServerTiming(reply: FastifyReply, { decode, queue, compute }: Prediction['costs']): void {
  const timing = `decode;dur=${decode.toFixed(2)}, queue;dur=${queue.toFixed(2)}, compute;dur=${compute.toFixed(2)}`
  void reply.header('server-timing', timing)
}
