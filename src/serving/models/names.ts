import { fieldError } from '../../common/errors.ts'

const NAME = /^[A-Za-z0-9._-]{1,100}$/
const ID = /^[0-9a-f]{64}$/
const ID_PREFIX = /^[0-9a-f]{12,64}$/

/** Segments of the service's paths that a model's name would shadow. */
const RESERVED: Readonly<Record<string, string>> = { stats: 'GET /v2/models/stats' }

/** True for a valid name: one URL segment that cannot be confused with an id. */
export function isName(name: string): boolean {
  return (
    NAME.test(name) &&
    !/^\.+$/.test(name) &&
    !name.endsWith('.tmp') &&
    !isRemovedFile(name) &&
    !ID.test(name.toLowerCase())
  )
}

/** True for the name that a network file system gives a file that was removed while open. */
export function isRemovedFile(name: string): boolean {
  return /^\.nfs[0-9a-f]+$/.test(name)
}

/** Throws if a client may not assign this name. */
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
      'must be 1 to 100 letters, digits, ".", "_" or "-", not only dots, not ending in ".tmp" and not a name that network file systems give removed files (".nfs" and hexadecimal digits)',
    )
  }
}

export function isId(reference: string): boolean {
  return ID.test(reference)
}

export function isIdPrefix(reference: string): boolean {
  return ID_PREFIX.test(reference)
}
