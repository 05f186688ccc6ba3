import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify'
import { bodyTooLarge, errorTitles, ServiceError, type ErrorCode } from '../errors.ts'

/** The one place where a code becomes an HTTP status. */
export const statusOf: Readonly<Record<ErrorCode, number>> = {
  MALFORMED_REQUEST: 400,
  UNAUTHORIZED: 401,
  ROUTE_NOT_FOUND: 404,
  MODEL_NOT_FOUND: 404,
  INITIALIZER_NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  NOT_ACCEPTABLE: 406,
  BODY_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  RANGE_NOT_SATISFIABLE: 416,
  INVALID_REQUEST: 422,
  SHAPE_MISMATCH: 422,
  MODEL_TOO_LARGE: 422,
  INVALID_IMAGE: 422,
  INVALID_WEIGHTS: 422,
  QUEUE_FULL: 429,
  WEIGHTS_DIVERGED: 500,
  ENGINE_CRASHED: 500,
  STORAGE_FAILED: 500,
  INTERNAL: 500,
  MODEL_NOT_READY: 503,
  ENGINE_UNAVAILABLE: 503,
  SHUTTING_DOWN: 503,
  DEADLINE_EXCEEDED: 504,
}

const METHODS: readonly HTTPMethods[] = ['GET', 'POST', 'PUT', 'DELETE']

export function handleErrors(app: FastifyInstance): void {
  app.setErrorHandler(answerError)
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? request.url
    // Its type leaves out that it gives null where there is no route.
    const routeOf = (method: HTTPMethods) => app.findRoute({ method, url: path }) as object | null
    const allow = METHODS.filter((method) => routeOf(method) !== null)
    const error =
      allow.length > 0
        ? new ServiceError(
            'METHOD_NOT_ALLOWED',
            `${request.method} is not offered here; use ${allow.join(' or ')}`,
            { allow },
          )
        : new ServiceError(
            'ROUTE_NOT_FOUND',
            `there is no ${request.method} ${path}; GET /openapi.json lists the routes`,
          )
    return answerWith(error, request, reply)
  })
}

/** Any error as a problem; also those from before a request had a route, when no hook has run yet. */
export function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  void reply.header('x-request-id', request.id)
  return answerWith(toServiceError(error), request, reply)
}

function answerWith(error: ServiceError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const status = statusOf[error.code]
  if (status === 500) request.log.error({ err: error, cause: error.cause }, 'request failed')
  if (error.allow) void reply.header('allow', error.allow.join(', '))
  if (status === 429 || status === 503) void reply.header('retry-after', String(error.retryAfterSeconds ?? 1))
  if (status === 401) void reply.header('www-authenticate', 'Bearer')
  // What went wrong inside is for the log; the client learns that it is not his fault.
  const detail = error.code === 'INTERNAL' ? 'the service failed; its log has the request id' : error.message
  return reply
    .code(status)
    .type('application/problem+json')
    .send({
      type: `urn:resinit:problem:${error.code}`,
      title: errorTitles[error.code],
      status,
      detail,
      code: error.code,
      error: detail,
      ...(error.errors.length > 0 ? { errors: error.errors } : {}),
    })
}

function toServiceError(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error
  const { code = '', statusCode, message } = error as Partial<FastifyError>
  if (
    code === 'FST_ERR_CTP_BODY_TOO_LARGE' ||
    code === 'FST_REQ_FILE_TOO_LARGE' ||
    code === 'FST_FILES_LIMIT' ||
    code === 'FST_PARTS_LIMIT'
  ) {
    return bodyTooLarge()
  }
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE' || code === 'FST_INVALID_MULTIPART_CONTENT_TYPE') {
    return new ServiceError('UNSUPPORTED_MEDIA_TYPE', 'the Content-Type is not one this route reads')
  }
  // What reads forms throws plain errors.
  if (/multipart|part header/i.test(message ?? '')) {
    return new ServiceError('MALFORMED_REQUEST', `the form cannot be read: ${message ?? ''}`, {
      cause: error,
    })
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new ServiceError('MALFORMED_REQUEST', message ?? 'the request could not be read', { cause: error })
  }
  return new ServiceError('INTERNAL', message ?? 'unknown failure', { cause: error })
}
