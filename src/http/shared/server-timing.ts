import type { FastifyReply } from 'fastify'
import type { Prediction } from './prediction.ts'

/** Says in the head of an answer what its prediction cost, as browsers and proxies read it (`Server-Timing`). */
export function setServerTiming(reply: FastifyReply, { decode, queue, compute }: Prediction['costs']): void {
  const timing = `decode;dur=${decode.toFixed(2)}, queue;dur=${queue.toFixed(2)}, compute;dur=${compute.toFixed(2)}`
  void reply.header('server-timing', timing)
}
