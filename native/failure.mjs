import { CACHE } from './cache.mjs'
import { megabytes } from './progress.mjs'

/** An expected failure. Its message is one sentence that names the cure and is shown without a stack. */
export class Failure extends Error {}

/** @param {number} [bytes] */
export function fullDisk(bytes) {
  const room = bytes ? megabytes(bytes) : 'some'
  return `Too little room in ${CACHE}: free ${room} there, or name another place in the variable RESINIT_CACHE.`
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
    return `${String(path)} cannot be written (${code}): give this user the right to, or name another cache in the variable RESINIT_CACHE.`
  }
  return undefined
}
