import type { FastifyError } from 'fastify'
import { bodyTooLarge, ERRORS, ServiceError, type ErrorCode } from '../../common/errors.ts'

/** HTTP statuses that override the error table. */
export type Statuses = Readonly<Partial<Record<ErrorCode, number>>>

/** Formats an error as a problem document (RFC 9457). */
export function toProblem(
  { code, message, errors, retryAfterSeconds }: ServiceError,
  statuses: Statuses = {},
) {
  const status: number = statuses[code] ?? ERRORS[code].status
  // Only the log contains the cause of an internal error.
  const detail = code === 'INTERNAL' ? 'internal error; the log has the request id' : message
  return {
    status,
    headers: {
      'content-type': 'application/problem+json',
      ...(status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
      ...([429, 503].includes(status) ? { 'retry-after': String(retryAfterSeconds ?? 1) } : {}),
    },
    body: {
      type: `urn:resinit:problem:${code}`,
      title: ERRORS[code].title,
      status,
      detail,
      code,
      error: detail,
      ...(errors.length > 0 ? { errors } : {}),
    },
  }
}

/** Maps any thrown value to a ServiceError; INTERNAL if no other code fits. */
export function toServiceError(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error
  const { statusCode, message = 'unknown failure' } = error as Partial<FastifyError>
  if (statusCode === 413) return bodyTooLarge()
  if (statusCode === 415)
    return new ServiceError(
      'UNSUPPORTED_MEDIA_TYPE',
      'the route does not read this Content-Type; send one that /openapi.json names for it',
    )
  // The multipart parser throws plain errors.
  if (/multipart|part header/i.test(message))
    return new ServiceError('MALFORMED_REQUEST', `the form cannot be parsed: ${message}`, { cause: error })
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new ServiceError('MALFORMED_REQUEST', message, { cause: error })
  return new ServiceError('INTERNAL', message, { cause: error })
}
