import { ServiceError } from '../../common/errors.ts'
import { storageFailed } from '../../common/storage-errors.ts'

/** Runs a change of the data folder. Rejects with STORAGE_FAILED if it fails. */
export async function changeStore<R>(write: () => Promise<R>): Promise<R> {
  try {
    return await write()
  } catch (error) {
    throw error instanceof ServiceError ? error : storageFailed(error)
  }
}
