import { ServiceError } from '../errors.ts'
import { codeOf, UnusableFile } from './files.ts'

/** A change of the data folder: STORAGE_FAILED where it could not be made. */
export async function stored<R>(write: () => Promise<R>): Promise<R> {
  try {
    return await write()
  } catch (error) {
    throw error instanceof ServiceError ? error : storageFailed(error)
  }
}

/** What to do about it, where that is known. */
const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'its disk is full',
  EDQUOT: 'its quota is used up',
  EROFS: 'it is read-only',
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  ENOTDIR: 'a part of its path is a file',
  EEXIST: 'a part of its path is a file',
  ENOENT: 'it is not there and cannot be made',
  ELOOP: 'a symbolic link in it leads to itself',
  EIO: 'its disk fails',
  ESTALE: 'its file system has lost it; mount it again',
}

export function storageFailed(cause: unknown): ServiceError {
  const code = codeOf(cause) ?? 'unknown cause'
  const known = REASONS[code]
  const unusable = cause instanceof UnusableFile ? cause.message : code
  const reason = known === undefined ? unusable : `${known} (${code})`
  return new ServiceError('STORAGE_FAILED', `the data folder could not be written: ${reason}`, { cause })
}
