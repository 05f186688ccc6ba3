import { ServiceError, shownName, invalidWeights } from '../common/errors.ts'

/** Passes on errors of this module and of the operating system; those of yauzl describe the archive. */
export async function describeErrors<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise
  } catch (error) {
    if (!(error instanceof Error) || error instanceof ServiceError || 'syscall' in error) throw error
    throw damagedZip(shownName(error.message))
  }
}

export function inflatingZip(reason: string): ServiceError {
  return invalidWeights(
    `is a zip archive that inflates suspiciously: ${reason}; store its entries without compression`,
  )
}

export function damagedZip(reason: string): ServiceError {
  return invalidWeights(`is a damaged zip archive: ${reason}; send the complete file`)
}
