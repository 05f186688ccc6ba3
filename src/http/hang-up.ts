import type { FastifyReply } from 'fastify'
import { ServiceError } from '../errors.ts'

/** Aborts when the answer is over: when its client has hung up, or (which harms nobody) when it was sent. */
export function hangUp({ raw }: FastifyReply): AbortSignal {
  const controller = new AbortController()
  raw.once('close', () => {
    controller.abort(new ServiceError('MALFORMED_REQUEST', 'the client hung up'))
  })
  return controller.signal
}
