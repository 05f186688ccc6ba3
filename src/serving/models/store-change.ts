import { ServiceError } from '../../common/errors.ts'
import { storageFailed } from '../../common/storage-errors.ts'

/** A change of the data folder: STORAGE_FAILED where it could not be made. */
export async function stored<R>(write: () => Promise<R>): Promise<R> {
  try {
    return await write()
  } catch (error) {
    throw error instanceof ServiceError ? error : storageFailed(error)
  }
}
