import type { FastifyReply } from 'fastify'
import { createShutdownError } from '../../common/errors.ts'

/** The event of a response that must end because the service stops. */
const SHUTDOWN = Symbol('shutdown')

/** Aborts with SHUTTING_DOWN when a response has begun and its handler must end it. */
export function createShutdownSignal({ raw }: FastifyReply): AbortSignal {
  const controller = new AbortController()
  raw.once(SHUTDOWN, () => {
    controller.abort(createShutdownError())
  })
  return controller.signal
}

/** Aborts the shutdown signal of a response. Returns false if the response has none. */
export function abortResponse({ raw }: FastifyReply): boolean {
  return raw.emit(SHUTDOWN)
}
