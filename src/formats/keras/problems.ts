import { fieldError, type ServiceError, shownName } from '../../common/errors.ts'

/** The error for a file that is not a valid file of Keras weights. */
export function notKeras(reason: string): ServiceError {
  return fieldError('#/weights', `is not a Keras weights file: ${reason}`, 'INVALID_WEIGHTS')
}

/** A name from the file for a message. */
export function quoted(name: string): string {
  return JSON.stringify(shownName(name))
}
