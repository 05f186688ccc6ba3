import type { FastifyReply } from 'fastify'
import { ServiceError } from '../../common/errors.ts'

/** One instance for all requests: every response ends with it, and an error costs a stack trace. */
export const CLIENT_ABORTED = new ServiceError('MALFORMED_REQUEST', 'the client closed the connection')

/** Aborts when the response closes: because the client disconnected, or (without effect) because it was sent. */
export function abortOnClose({ raw }: FastifyReply): AbortSignal {
  const controller = new AbortController()
  const abort = (): void => {
    controller.abort(CLIENT_ABORTED)
  }
  // `close` is emitted only once.
  if (raw.closed) abort()
  else raw.once('close', abort)
  return controller.signal
}
