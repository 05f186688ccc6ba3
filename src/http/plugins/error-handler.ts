import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify'
import { bodyTooLarge, errorTitles, ServiceError, type ErrorCode } from '../../common/errors.ts'
import { incomingOf } from '../shared/incoming-requests.ts'
import { SERVING_PATHS } from '../tensorflow-serving/paths.ts'

/** The one place where a code becomes an HTTP status. */
export const statusOf: Readonly<Record<ErrorCode, number>> = {
  MALFORMED_REQUEST: 400,
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  CROSS_SITE_REFUSED: 403,
  ROUTE_NOT_FOUND: 404,
  MODEL_NOT_FOUND: 404,
  INITIALIZER_NOT_FOUND: 404,
  EXPERIMENT_NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  NOT_ACCEPTABLE: 406,
  REQUEST_TIMEOUT: 408,
  NAME_TAKEN: 409,
  BODY_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  UNSUPPORTED_ENCODING: 415,
  RANGE_NOT_SATISFIABLE: 416,
  EXPECTATION_FAILED: 417,
  INVALID_REQUEST: 422,
  SHAPE_MISMATCH: 422,
  MODEL_TOO_LARGE: 422,
  INVALID_IMAGE: 422,
  INVALID_WEIGHTS: 422,
  QUEUE_FULL: 429,
  RATE_LIMITED: 429,
  HEADERS_TOO_LARGE: 431,
  WEIGHTS_DIVERGED: 500,
  WEIGHTS_DAMAGED: 500,
  ENGINE_CRASHED: 500,
  STORAGE_FAILED: 500,
  INTERNAL: 500,
  MODEL_NOT_READY: 503,
  MODEL_QUARANTINED: 503,
  ENGINE_UNAVAILABLE: 503,
  PRELOADING: 503,
  SHUTTING_DOWN: 503,
  DEADLINE_EXCEEDED: 504,
}

/** Errors as a protocol of others has them: `{"error"}` as plain JSON, under its statuses. */
interface ForeignErrors {
  readonly paths: RegExp
  readonly statusOf: Readonly<Record<ErrorCode, number>>
}

/** Both have one status for whatever is wrong with a request (INVALID_ARG, INVALID_ARGUMENT), its size too. */
const INVALID_ARGUMENT = {
  ...{ NOT_ACCEPTABLE: 400, BODY_TOO_LARGE: 400, UNSUPPORTED_MEDIA_TYPE: 400, EXPECTATION_FAILED: 400 },
  ...{ INVALID_REQUEST: 400, SHAPE_MISMATCH: 400, MODEL_TOO_LARGE: 400 },
  ...{ INVALID_IMAGE: 400, INVALID_WEIGHTS: 400 },
} as const

const foreignErrors: Readonly<Record<'openInference' | 'tensorflowServing', ForeignErrors>> = {
  // Triton's docs/customization_guide/inference_protocols.md; a request that waited too long is UNAVAILABLE there.
  openInference: {
    paths: /^\/v2(\/|$)/i,
    statusOf: { ...statusOf, ...INVALID_ARGUMENT, DEADLINE_EXCEEDED: 503 },
  },
  // tensorflow_serving/model_servers/http_server.cc, ToHTTPStatusCode.
  tensorflowServing: {
    paths: SERVING_PATHS,
    statusOf: { ...statusOf, ...INVALID_ARGUMENT },
  },
}

/** These name what was sent, which may be of any length. */
const MAX_ERROR_LENGTH = 1000

/** Whose errors a path has; undefined where they are problems. */
export function findProtocol(url: string): ForeignErrors | undefined {
  const path = url.split('?', 1)[0] ?? url
  return Object.values(foreignErrors).find(({ paths }) => paths.test(path))
}

/** What there are routes for. */
export const METHODS: readonly HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE']

type AnswerError = (error: unknown, request: FastifyRequest, reply: FastifyReply) => FastifyReply

/** Refuses a path or a method that is not offered, before its body is looked at. */
export function refuseUnknownRoutes(app: FastifyInstance): void {
  const refuse = (request: FastifyRequest, reply: FastifyReply): ServiceError => {
    const path = request.url.split('?', 1)[0] ?? request.url
    // Its type leaves out that it gives null where there is no route.
    const routeOf = (method: HTTPMethods): object | null => app.findRoute({ method, url: path })
    const allow = METHODS.filter((method) => routeOf(method) !== null)
    // A route that takes the method can still find nothing at its path: one of files.
    if (allow.length === 0 || allow.includes(request.method)) {
      return new ServiceError(
        'ROUTE_NOT_FOUND',
        `there is no ${request.method} ${path}; GET /openapi.json lists the routes`,
      )
    }
    void reply.header('allow', allow.join(', '))
    return new ServiceError(
      'METHOD_NOT_ALLOWED',
      `${request.method} is not offered here; use ${allow.join(' or ')}`,
    )
  }
  app.setNotFoundHandler((request, reply) => {
    throw refuse(request, reply)
  })
  app.addHook('onRequest', (request, reply, done) => {
    done(request.is404 ? refuse(request, reply) : undefined)
  })
}

/** Answers any error, as a problem or as the path's protocol has it, also from before a request had a route, when no hook has run yet; each is counted. */
export function problemAnswers(count: (code: ErrorCode) => void): AnswerError {
  return (error, request, reply) => {
    // What reads a body that failed says in its own words that there is none.
    const cause = incomingOf(request)?.failure ?? error
    const { code, status, headers, body } = answerFor(toServiceError(cause), request.url)
    count(code)
    if (status === 500) request.log.error({ err: error }, 'request failed')
    void reply.code(status).headers({ ...headers, 'x-request-id': request.id })
    // Bytes: Fastify would add a charset to the type, and clients of KServe compare it as a whole.
    return reply.send(findProtocol(request.url) ? Buffer.from(JSON.stringify(body)) : body)
  }
}

/** An error as the path's protocol has it; a problem where the path is unknown or the service's own. */
export function answerFor(error: ServiceError, url = '') {
  const { code } = error
  const foreign = findProtocol(url)
  const { status, headers, body } = toProblem(error, foreign?.statusOf)
  if (foreign === undefined) return { code, status, headers, body }
  return {
    ...{ code, status },
    headers: { ...headers, 'content-type': 'application/json' },
    body: { error: body.detail.slice(0, MAX_ERROR_LENGTH) },
  }
}

/** An error as a problem, under its own statuses or a protocol's. */
export function toProblem(error: ServiceError, statuses: Readonly<Record<ErrorCode, number>> = statusOf) {
  const status = statuses[error.code]
  // What went wrong inside is for the log; the client learns that it is not his fault.
  const detail = error.code === 'INTERNAL' ? 'the service failed; its log has the request id' : error.message
  return {
    status,
    headers: {
      'content-type': 'application/problem+json',
      ...(status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
      ...([429, 503].includes(status) ? { 'retry-after': String(error.retryAfterSeconds ?? 1) } : {}),
    },
    body: {
      type: `urn:resinit:problem:${error.code}`,
      title: errorTitles[error.code],
      status,
      detail,
      code: error.code,
      error: detail,
      ...(error.errors.length > 0 ? { errors: error.errors } : {}),
    },
  }
}

/** What it is to a client; a failure of ours, where nothing else is known. */
export function toServiceError(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error
  const { statusCode, message = 'unknown failure' } = error as Partial<FastifyError>
  if (statusCode === 413) return bodyTooLarge()
  if (statusCode === 415)
    return new ServiceError(
      'UNSUPPORTED_MEDIA_TYPE',
      'the Content-Type cannot be read; send one that /openapi.json names for this route',
    )
  // What reads forms throws plain errors.
  if (/multipart|part header/i.test(message))
    return new ServiceError('MALFORMED_REQUEST', `the form cannot be read: ${message}`, { cause: error })
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new ServiceError('MALFORMED_REQUEST', message, { cause: error })
  return new ServiceError('INTERNAL', message, { cause: error })
}
