import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Metrics } from '../../telemetry/metrics.ts'
import type { ErrorFormats } from '../shared/error-formats.ts'
import { findIncoming } from '../shared/incoming-requests.ts'
import { toServiceError } from '../shared/problem.ts'

type ErrorHandler = (error: unknown, request: FastifyRequest, reply: FastifyReply) => FastifyReply

/** Handles the errors of all routes that are registered after it: a route keeps the error handler that it finds. */
export const errorHandler = fp<{ readonly handleError: ErrorHandler }>(
  (app, { handleError }, done) => {
    app.setErrorHandler(handleError)
    done()
  },
  { name: 'error-handler' },
)

/** Answers and counts an error in the format of the path. It also works before routing, when no hook has run. */
export function createErrorHandler(formats: ErrorFormats, metrics: Metrics): ErrorHandler {
  return (error, request, reply) => {
    // A parser reports a failed body as an incomplete one.
    const cause = findIncoming(request)?.failure ?? error
    const { code, status, headers, body } = formats.format(toServiceError(cause), request.url)
    metrics.error(code)
    if (status === 500) request.log.error({ err: error }, 'request failed')
    void reply.code(status).headers({ ...headers, 'x-request-id': request.id })
    // Fastify adds a charset to the type of JSON but not of bytes, and clients of KServe compare the whole type.
    return reply.send(formats.find(request.url) ? Buffer.from(JSON.stringify(body)) : body)
  }
}
