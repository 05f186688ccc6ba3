import { fieldError } from '../errors.ts'

const NAME = /^[A-Za-z0-9._-]{1,100}$/
const ID = /^[0-9a-f]{64}$/
const ID_PREFIX = /^[0-9a-f]{12,64}$/

/** A name is a file name and a URL segment, and must not be mistaken for an id. */
export function assertName(name: string, pointer = '#/name'): void {
  if (!NAME.test(name) || /^\.+$/.test(name) || name.endsWith('.tmp')) {
    throw fieldError(
      pointer,
      'must be 1 to 100 letters, digits, ".", "_" or "-", not dots only and not ending in ".tmp"',
    )
  }
  if (ID.test(name.toLowerCase()))
    throw fieldError(pointer, 'must not look like an id (64 hexadecimal digits)')
}

export function isId(reference: string): boolean {
  return ID.test(reference)
}

export function isIdPrefix(reference: string): boolean {
  return ID_PREFIX.test(reference)
}
