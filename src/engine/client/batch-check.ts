import { fieldError, ServiceError } from '../../common/errors.ts'
import { sizeOf } from '../../initializers/fans.ts'
import type { Specification } from '../../network/specification.ts'
import type { Batch } from '../contract.ts'

/** Properties of a model that a batch must match. */
export interface ModelForm {
  readonly inputShape: readonly number[]
  readonly classes: number
}

export function batchForm({ architecture, classes }: Specification): ModelForm {
  return { inputShape: architecture.input_shape, classes }
}

/**
 * Rejects batches that the native session does not check: a wrong rank aborts its process, a wrong length reads out
 * of bounds. Throws MODEL_NOT_READY if the model was not built, INVALID_REQUEST if the batch does not match it.
 */
export function assertBatch({ id, count, values, k }: Batch, form: ModelForm | undefined): void {
  if (form === undefined) throw new ServiceError('MODEL_NOT_READY', `the engine does not hold model ${id}`)
  const { inputShape, classes } = form
  // The declared type is not checked at run time.
  const given: unknown = values
  const encoded = Array.isArray(given)
  if (!encoded && !(given instanceof Uint8Array || given instanceof Float32Array))
    throw fieldError('#/values', 'must be uint8, float32 or an array of JPEGs')
  if (!Number.isSafeInteger(count) || count < 1)
    throw fieldError('#/count', `must be an integer of at least 1, got ${String(count)}`)
  if (encoded && !given.every((bytes) => bytes instanceof Uint8Array && bytes.length > 0))
    throw fieldError('#/values', 'must hold JPEGs as bytes')
  const size = encoded ? count : count * sizeOf(inputShape)
  if (values.length !== size) {
    const images = `${String(count)} images of [${inputShape.join(', ')}]`
    throw fieldError('#/values', `must hold ${images}: ${String(size)} values, got ${String(values.length)}`)
  }
  if (!Number.isSafeInteger(k) || k < 1 || k > classes)
    throw fieldError('#/k', `must be an integer from 1 to ${String(classes)}, got ${String(k)}`)
}
