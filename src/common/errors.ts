/**
 * Every error the service answers with, as one table: code -> title. The code is the stable name clients may
 * rely on; which HTTP status it becomes is decided in `http/error-handler.ts` alone.
 */
export const errorTitles = {
  MALFORMED_REQUEST: 'The request could not be read',
  UNAUTHORIZED: 'A key is required',
  FORBIDDEN: 'The key is not for this',
  CROSS_SITE_REFUSED: 'Pages of other sites may not call this service',
  ROUTE_NOT_FOUND: 'No such route',
  MODEL_NOT_FOUND: 'No such model',
  INITIALIZER_NOT_FOUND: 'No such initializer',
  EXPERIMENT_NOT_FOUND: 'No such experiment',
  METHOD_NOT_ALLOWED: 'The route does not take this method',
  NOT_ACCEPTABLE: 'The answer is not offered in this format',
  REQUEST_TIMEOUT: 'The request did not arrive in time',
  MODEL_NOT_READY: 'The model cannot answer',
  NAME_TAKEN: 'The name belongs to another model',
  BODY_TOO_LARGE: 'The body is too large',
  UNSUPPORTED_MEDIA_TYPE: 'The body has a type this route does not read',
  UNSUPPORTED_ENCODING: 'The body is compressed in a way the service does not read',
  RANGE_NOT_SATISFIABLE: 'The range lies outside the content',
  EXPECTATION_FAILED: 'The header Expect asks for what the service does not do',
  INVALID_REQUEST: 'The request is well-formed but not valid',
  SHAPE_MISMATCH: 'The shapes of the network do not meet',
  MODEL_TOO_LARGE: 'The model is larger than this service allows',
  INVALID_IMAGE: 'The image cannot be used',
  INVALID_WEIGHTS: 'The weights cannot be used',
  QUEUE_FULL: 'The queue is full',
  RATE_LIMITED: 'Too many requests',
  HEADERS_TOO_LARGE: 'The headers are too large',
  WEIGHTS_DIVERGED: 'The weights differ from those first built',
  WEIGHTS_DAMAGED: 'The stored weights are not those of the model',
  ENGINE_CRASHED: 'The engine died while it computed this',
  MODEL_QUARANTINED: 'The engine keeps dying of this model',
  ENGINE_UNAVAILABLE: 'The engine is not there',
  PRELOADING: 'Models that are to be there from the start are not ready yet',
  SHUTTING_DOWN: 'The service is shutting down',
  DEADLINE_EXCEEDED: 'The answer took too long',
  STORAGE_FAILED: 'A directory of the service could not be written',
  INTERNAL: 'The service failed',
} as const

/** Errors that a refusal lists: what a person would correct at once. */
export const MOST_ERRORS = 100
/** Of a name that was sent and is of any length. */
const SHOWN_NAME = 100

export type ErrorCode = keyof typeof errorTitles

/** One wrong field: where it is (a JSON pointer in a URI fragment) and what would be right. */
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

export function bodyTooLarge(): ServiceError {
  return new ServiceError(
    'BODY_TOO_LARGE',
    'the body is larger than allowed; send less at once, or raise MAX_BODY_BYTES',
  )
}

/** Whether a child process died over a call; what is pure can be asked again. */
export function isCrash(error: unknown): boolean {
  return error instanceof ServiceError && error.code === 'ENGINE_CRASHED'
}

/** A JSON pointer (RFC 6901) one step further down. */
export function pointerTo(base: string, name: string): string {
  return `${base}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
}

/** A name as it is said in an error: how it begins, where it is long. */
export function shownName(name: string): string {
  return name.length > SHOWN_NAME ? `${name.slice(0, SHOWN_NAME)}...` : name
}

/** A value as JSON, where a number that was too large for one, such as 1e400, is Infinity and not null. */
export function shownJson(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value)
  const text: unknown = JSON.stringify(value, (_, field: unknown) =>
    typeof field === 'number' && !Number.isFinite(field) ? String(field) : field,
  )
  return text as string | undefined
}

/** A single wrong field, said both as the detail and as the field's own error. */
export function fieldError(
  pointer: string,
  detail: string,
  code: ErrorCode = 'INVALID_REQUEST',
): ServiceError {
  return new ServiceError(code, `${pointer} ${detail}`, { errors: [{ pointer, detail }] })
}

/** Several wrong fields: the first of them as the detail, MOST_ERRORS in the list. */
export function fieldErrors(
  errors: readonly FieldError[],
  code: ErrorCode = 'INVALID_REQUEST',
): ServiceError {
  const [first, ...others] = errors
  if (first === undefined) throw new TypeError('fieldErrors needs at least one error')
  const listed = errors.length > MOST_ERRORS ? `, of which the first ${String(MOST_ERRORS)} are listed` : ''
  const more = others.length > 0 ? ` (and ${String(others.length)} more${listed})` : ''
  return new ServiceError(code, `${first.pointer} ${first.detail}${more}`, {
    errors: errors.slice(0, MOST_ERRORS),
  })
}
