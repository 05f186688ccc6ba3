import type { FastifyReply } from 'fastify'
import { ServiceError } from '../../common/errors.ts'

/** One for all: every request ends with it, nearly all when nobody asks why any more, and an error costs its stack. */
export const CLIENT_ABORTED = new ServiceError('MALFORMED_REQUEST', 'the client hung up')

/** Aborts when the answer is over: when its client has hung up, or (which harms nobody) when it was sent. */
export function hangUp({ raw }: FastifyReply): AbortSignal {
  const controller = new AbortController()
  const abort = (): void => {
    controller.abort(CLIENT_ABORTED)
  }
  // One that hung up before anybody listened does not do so again.
  if (raw.closed) abort()
  else raw.once('close', abort)
  return controller.signal
}
