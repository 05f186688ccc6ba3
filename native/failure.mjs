import { CACHE } from './cache.mjs'
import { megabytes } from './progress.mjs'

/** An expected failure. Its message is one sentence that names the cure and is shown without a stack. */
export class Failure extends Error {}

/** @param {number} [bytes] */
export function fullDisk(bytes) {
  const room = bytes ? megabytes(bytes) : 'some'
  return `Too little space in ${CACHE}: free ${room} there, or set RESINIT_CACHE to another directory.`
}

/**
 * @param {unknown} error
 * @returns {string | undefined} The message for an error that the user can fix; undefined for a defect.
 */
export function sentenceFor(error) {
  if (error instanceof Failure) return error.message
  const { code, path } = /** @type {NodeJS.ErrnoException} */ (error)
  if (code === 'ENOSPC' || code === 'EDQUOT') return fullDisk()
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || code === 'ENOTDIR') {
    return `${String(path)} is not writable (${code}): grant this user the permission, or set RESINIT_CACHE to another directory.`
  }
  return undefined
}
