import { type ServiceError, invalidWeights } from '../../common/errors.ts'

/** The error for a file that is not a valid file of Keras weights. */
export function notKeras(reason: string): ServiceError {
  return invalidWeights(`is not a Keras weights file: ${reason}`)
}
