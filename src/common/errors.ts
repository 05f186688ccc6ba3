/** Every error: its code, which clients may rely on, its HTTP status and its title. */
export const ERRORS = {
  MALFORMED_REQUEST: { status: 400, title: 'The request is malformed' },
  UNAUTHORIZED: { status: 401, title: 'A valid key is required' },
  FORBIDDEN: { status: 403, title: 'The key lacks the required scope' },
  CROSS_SITE_REFUSED: { status: 403, title: 'Pages of other sites may not call this service' },
  ROUTE_NOT_FOUND: { status: 404, title: 'No such route' },
  MODEL_NOT_FOUND: { status: 404, title: 'No such model' },
  INITIALIZER_NOT_FOUND: { status: 404, title: 'No such initializer' },
  EXPERIMENT_NOT_FOUND: { status: 404, title: 'No such experiment' },
  METHOD_NOT_ALLOWED: { status: 405, title: 'The route does not support this method' },
  NOT_ACCEPTABLE: { status: 406, title: 'The response is not available in this format' },
  REQUEST_TIMEOUT: { status: 408, title: 'The request did not arrive in time' },
  NAME_TAKEN: { status: 409, title: 'The name belongs to another model' },
  BODY_TOO_LARGE: { status: 413, title: 'The body is too large' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, title: 'The route does not read this media type' },
  UNSUPPORTED_ENCODING: { status: 415, title: 'The service does not read this content encoding' },
  RANGE_NOT_SATISFIABLE: { status: 416, title: 'The range lies outside the content' },
  EXPECTATION_FAILED: { status: 417, title: 'The Expect header cannot be met' },
  INVALID_REQUEST: { status: 422, title: 'The request is well-formed but not valid' },
  SHAPE_MISMATCH: { status: 422, title: 'Shapes within the network do not match' },
  MODEL_TOO_LARGE: { status: 422, title: 'The model is larger than this service allows' },
  INVALID_IMAGE: { status: 422, title: 'The image is not valid' },
  INVALID_WEIGHTS: { status: 422, title: 'The weights are not valid' },
  QUEUE_FULL: { status: 429, title: 'The queue is full' },
  RATE_LIMITED: { status: 429, title: 'Too many requests' },
  HEADERS_TOO_LARGE: { status: 431, title: 'The headers are too large' },
  WEIGHTS_DIVERGED: { status: 500, title: 'A rebuild gave different weights' },
  WEIGHTS_DAMAGED: { status: 500, title: 'The stored weights are damaged' },
  ENGINE_CRASHED: { status: 500, title: 'The engine crashed during this call' },
  STORAGE_FAILED: { status: 500, title: 'A directory of the service cannot be written' },
  INTERNAL: { status: 500, title: 'Internal error' },
  MODEL_NOT_READY: { status: 503, title: 'The model is not ready' },
  MODEL_QUARANTINED: { status: 503, title: 'The model crashed the engine repeatedly' },
  ENGINE_UNAVAILABLE: { status: 503, title: 'The engine is unavailable' },
  PRELOADING: { status: 503, title: 'Preloaded models are not ready yet' },
  SHUTTING_DOWN: { status: 503, title: 'The service is shutting down' },
  DEADLINE_EXCEEDED: { status: 504, title: 'The response took too long' },
} as const

/** The most field errors in one response. */
export const MAX_REPORTED = 100
/** Longer names are cut in messages. */
const MAX_NAME_LENGTH = 100

export type ErrorCode = keyof typeof ERRORS

/** One invalid field: a JSON pointer in a URI fragment, and a message that names the cure. */
export interface FieldError {
  readonly pointer: string
  readonly detail: string
}

export interface ErrorExtras {
  readonly errors?: readonly FieldError[]
  readonly cause?: unknown
  readonly retryAfterSeconds?: number
}

export class ServiceError extends Error {
  readonly code: ErrorCode
  readonly errors: readonly FieldError[]
  readonly retryAfterSeconds: number | undefined

  constructor(code: ErrorCode, detail: string, extras: ErrorExtras = {}) {
    super(detail, 'cause' in extras ? { cause: extras.cause } : undefined)
    this.name = 'ServiceError'
    this.code = code
    this.errors = extras.errors ?? []
    this.retryAfterSeconds = extras.retryAfterSeconds
  }
}

export function createShutdownError(): ServiceError {
  return new ServiceError('SHUTTING_DOWN', 'the service is shutting down')
}

export function bodyTooLarge(): ServiceError {
  return new ServiceError(
    'BODY_TOO_LARGE',
    'the body is larger than allowed; send less at once, or raise MAX_BODY_BYTES',
  )
}

/** Whether a child process crashed during a call. A pure call can be retried. */
export function isCrash(error: unknown): boolean {
  return error instanceof ServiceError && error.code === 'ENGINE_CRASHED'
}

/** Appends a name to a JSON pointer (RFC 6901). */
export function pointerTo(base: string, name: string): string {
  return `${base}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
}

/** A name for an error message; a long name is cut. */
export function shownName(name: string): string {
  return name.length > MAX_NAME_LENGTH ? `${name.slice(0, MAX_NAME_LENGTH)}...` : name
}

/** A name in quotes, for an error message; a long name is cut. */
export function quoteName(name: string): string {
  return JSON.stringify(shownName(name))
}

/** The error for weights that cannot be loaded. */
export function invalidWeights(detail: string): ServiceError {
  return fieldError('#/weights', detail, 'INVALID_WEIGHTS')
}

/** A value as JSON for an error message. A number that overflows, such as 1e400, is written as Infinity, not as null. */
export function shownJson(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value)
  const text: unknown = JSON.stringify(value, (_, field: unknown) =>
    typeof field === 'number' && !Number.isFinite(field) ? String(field) : field,
  )
  return text as string | undefined
}

/** An error for one invalid field, named in the detail and in `errors`. */
export function fieldError(
  pointer: string,
  detail: string,
  code: ErrorCode = 'INVALID_REQUEST',
): ServiceError {
  return new ServiceError(code, `${pointer} ${detail}`, { errors: [{ pointer, detail }] })
}

/** An error for several invalid fields: the detail names the first, `errors` lists at most MAX_REPORTED. */
export function fieldErrors(
  errors: readonly FieldError[],
  code: ErrorCode = 'INVALID_REQUEST',
): ServiceError {
  const [first, ...others] = errors
  if (first === undefined) throw new TypeError('fieldErrors needs at least one error')
  const listed = errors.length > MAX_REPORTED ? `, of which the first ${String(MAX_REPORTED)} are listed` : ''
  const more = others.length > 0 ? ` (and ${String(others.length)} more${listed})` : ''
  return new ServiceError(code, `${first.pointer} ${first.detail}${more}`, {
    errors: errors.slice(0, MAX_REPORTED),
  })
}
