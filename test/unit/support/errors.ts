import { ServiceError } from '../../../src/common/errors.ts'

/** The ServiceError of a failing call. Success, or any other error, fails the test. */
export function refusal(call: () => unknown): ServiceError {
  try {
    call()
  } catch (error) {
    if (error instanceof ServiceError) return error
    throw error
  }
  throw new Error('expected a ServiceError, nothing was thrown')
}

export async function refusalOf(promise: Promise<unknown>): Promise<ServiceError> {
  const outcome = await promise.then(
    () => new Error('expected a ServiceError, nothing was thrown'),
    (error: unknown) => error,
  )
  if (outcome instanceof ServiceError) return outcome
  throw outcome
}

/** Code and pointers, the parts of an error a client may rely on. */
export function codeAndPointers({ code, errors }: ServiceError) {
  return [code, ...errors.map(({ pointer }) => pointer)]
}
