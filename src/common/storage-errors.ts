import { ServiceError } from './errors.ts'

/** A path leads to no file that can be used: one of another kind, too large, or with the wrong content. */
export class UnusableFile extends Error {}

/** Descriptions of common error codes. */
const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'its disk is full',
  EDQUOT: 'its quota is used up',
  EROFS: 'it is read-only',
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  ENOTDIR: 'a part of its path is a file',
  EEXIST: 'a part of its path is a file',
  ENOENT: 'it does not exist and cannot be created',
  ELOOP: 'a symbolic link in it leads to itself',
  EIO: 'its disk fails',
  ESTALE: 'its file system has lost it; mount it again',
}

/** TensorFlow's errors contain the system's messages instead of codes. */
const SYSTEM_WORDS: Readonly<Record<string, string>> = {
  'No space left on device': 'ENOSPC',
  'Disk quota exceeded': 'EDQUOT',
  'Read-only file system': 'EROFS',
  'Permission denied': 'EACCES',
}

/** STORAGE_FAILED for the folder of DATA_DIR. */
export function storageFailed(cause: unknown): ServiceError {
  return failed('the data folder could not be written', cause)
}

/** STORAGE_FAILED for the directory of TMPDIR. */
export function temporaryFailed(cause: unknown): ServiceError {
  const failure = failed('the temporary directory (TMPDIR) could not be written', cause)
  const cure = 'free space there, or set TMPDIR to a directory that this user can write'
  return new ServiceError(failure.code, `${failure.message}; ${cure}`, { cause })
}

/** True if a write by Node or by TensorFlow failed. */
export function isRefusedWrite(error: unknown): boolean {
  return !(error instanceof ServiceError) && codeIn(error) !== undefined
}

function failed(sentence: string, cause: unknown): ServiceError {
  const code = codeIn(cause) ?? (cause instanceof UnusableFile ? cause.message : 'unknown cause')
  const known = REASONS[code]
  const reason = known === undefined ? code : `${known} (${code})`
  return new ServiceError('STORAGE_FAILED', `${sentence}: ${reason}`, { cause })
}

function codeIn(error: unknown): string | undefined {
  const { code, message } = error as NodeJS.ErrnoException
  if (code !== undefined) return code
  const words = Object.keys(SYSTEM_WORDS).find((some) => message.includes(some))
  return words === undefined ? undefined : SYSTEM_WORDS[words]
}
