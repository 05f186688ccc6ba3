import type { FastifyReply } from 'fastify'
import { ServiceError } from '../errors.ts'

/** Aborts when the answer is over: when its client has hung up, or (which harms nobody) when it was sent. */
export function hangUp({ raw }: FastifyReply): AbortSignal {
  const controller = new AbortController()
  const abort = (): void => {
    controller.abort(new ServiceError('MALFORMED_REQUEST', 'the client hung up'))
  }
  // One that hung up before anybody listened does not do so again.
  if (raw.closed) abort()
  else raw.once('close', abort)
  return controller.signal
}
