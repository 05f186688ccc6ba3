import { fieldError } from '../../common/errors.ts'

const NAME = /^[A-Za-z0-9._-]{1,100}$/
const ID = /^[0-9a-f]{64}$/
const ID_PREFIX = /^[0-9a-f]{12,64}$/

/** Segments of the service's own paths that a model's name would take the place of. */
const RESERVED: Readonly<Record<string, string>> = { stats: 'GET /v2/models/stats' }

/** Whether a file can be a name: a segment of a URL, and not to be mistaken for an id. */
export function isName(name: string): boolean {
  return (
    NAME.test(name) &&
    !/^\.+$/.test(name) &&
    !name.endsWith('.tmp') &&
    !isRemovedFile(name) &&
    !ID.test(name.toLowerCase())
  )
}

/** What a network file system makes of a file that was removed while it was open. */
export function isRemovedFile(name: string): boolean {
  return /^\.nfs[0-9a-f]+$/.test(name)
}

/** For a name that is to be given. */
export function assertName(name: string, pointer = '#/name'): void {
  const path = Object.hasOwn(RESERVED, name) ? RESERVED[name] : undefined
  if (path !== undefined)
    throw fieldError(
      pointer,
      `must not be ${JSON.stringify(name)}, a part of the path ${path}; choose another name`,
    )
  if (ID.test(name.toLowerCase()))
    throw fieldError(pointer, 'must not look like an id (64 hexadecimal digits)')
  if (!isName(name)) {
    throw fieldError(
      pointer,
      'must be 1 to 100 letters, digits, ".", "_" or "-", not dots only, not ending in ".tmp" and not as network file systems call removed files (".nfs", hexadecimal digits)',
    )
  }
}

export function isId(reference: string): boolean {
  return ID.test(reference)
}

export function isIdPrefix(reference: string): boolean {
  return ID_PREFIX.test(reference)
}
