import { posix } from 'node:path'

/** The block size of tar. */
const BLOCK = 512
const MODE = '0000644'
/** The checksum is computed with spaces in its own field. */
const SPACES = '        '
const CHECKSUM = 148

/** The two blocks of zeros that end an archive. */
export const TAR_END = Buffer.alloc(2 * BLOCK)

/**
 * The header of a file in a tar archive (POSIX ustar): its path (a directory of at most 155 bytes and a name of at
 * most 100) and its size. No times or owners, so equal files give equal archives.
 */
export function tarHeader(path: string, size: number): Buffer {
  const { dir, base } = posix.parse(path)
  if (Buffer.byteLength(base) > 100 || Buffer.byteLength(dir) > 155)
    throw new TypeError(`${path} is too long for a tar header`)
  const header = Buffer.alloc(BLOCK)
  const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, '0')
  const fields: readonly (readonly [offset: number, text: string])[] = [
    [0, base],
    [100, MODE],
    [108, octal(0, 7)],
    [116, octal(0, 7)],
    [124, octal(size, 11)],
    [136, octal(0, 11)],
    [CHECKSUM, SPACES],
    [156, '0'],
    [257, 'ustar'],
    [263, '00'],
    [345, dir],
  ]
  for (const [offset, text] of fields) header.write(text, offset)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${octal(sum, 6)}\0 `, CHECKSUM)
  return header
}

/** Zeros from a file's end to the next block. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK)
}
