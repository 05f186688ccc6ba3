import type { JobContext, Progress } from '../common/cancellation.ts'
import { ServiceError, type ErrorCode, type FieldError } from '../common/errors.ts'

/** The descriptor of the inherited file in a child: it follows the three standard streams and the channel. */
export const INHERITED_FD = 4

/** The methods of a child process's contract. Arguments and results travel by structured clone. */
export type Methods<M> = Record<keyof M, (...args: never[]) => Promise<unknown>>

/** The implementations of a contract's methods, synchronous or not, with the job as an additional last argument. */
export type Handlers<M extends Methods<M>> = {
  readonly [K in keyof M]: (
    ...args: [...Parameters<M[K]>, job: JobContext]
  ) => ReturnType<M[K]> | Awaited<ReturnType<M[K]>>
}

/** A message of the parent. `cancel` names a call whose answer is no longer needed; a ping is answered at once. */
export type Request =
  | { readonly kind: 'ping' }
  | { readonly kind: 'call'; readonly id: number; readonly method: string; readonly args: readonly unknown[] }
  | { readonly kind: 'cancel'; readonly id: number }

/**
 * A message of the child. `ready` or `failed` comes once, first. After `ready` every call is answered by its id, in any
 * order, with optional progress before. A cancelled call is answered when its work has stopped.
 */
export type Answer =
  /** Sent after a step of a call, and as the answer to a ping. */
  | { readonly kind: 'alive' }
  | { readonly kind: 'ready'; readonly info: unknown }
  /** The start failed; the child exits. */
  | { readonly kind: 'failed'; readonly error: PlainError }
  | { readonly kind: 'progress'; readonly id: number; readonly progress: Progress }
  | { readonly kind: 'result'; readonly id: number; readonly result: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: PlainError }

/** A serialized error. An error without a code is a defect and becomes INTERNAL. */
export interface PlainError {
  readonly code: ErrorCode
  readonly detail: string
  readonly errors: readonly FieldError[]
}

export function toPlainError(error: unknown): PlainError {
  if (error instanceof ServiceError) return { code: error.code, detail: error.message, errors: error.errors }
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { code: 'INTERNAL', detail, errors: [] }
}

export function fromPlainError({ code, detail, errors }: PlainError): ServiceError {
  return new ServiceError(code, detail, { errors })
}
