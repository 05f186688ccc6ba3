/** @typedef {{ width: number, height: number }} Size */

/** A chunk of RIFF, padded to an even length. @param {string} type @param {Buffer | readonly number[]} data */
export function riffChunk(type, data) {
  const bytes = Buffer.from(data)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(bytes.length)
  return Buffer.concat([Buffer.from(type, 'latin1'), length, bytes, Buffer.alloc(bytes.length % 2)])
}

/** A file of chunks. @param {readonly Buffer[]} chunks */
export function webp(chunks) {
  return riffChunk('RIFF', Buffer.concat([Buffer.from('WEBP'), ...chunks]))
}

/**
 * The header of an extended file: its features (animation 2, XMP 4, EXIF 8, alpha 16, profile 32) and its
 * canvas.
 * @param {Size & { flags?: number }} canvas
 */
export function canvas({ width, height, flags = 0 }) {
  return riffChunk(
    'VP8X',
    Buffer.concat([Buffer.from([flags, 0, 0, 0]), uint24(width - 1), uint24(height - 1)]),
  )
}

/**
 * A lossless image of one colour. Each of its prefix codes has one symbol, so its pixels take no bits
 * (Specification of WebP Lossless, 6.2).
 * @param {Size} size
 */
export function flatLossless({ width, height }) {
  const bits = [
    ...bitsOf(width - 1, 14),
    ...bitsOf(height - 1, 14),
    // No alpha, version 0, no transform, no colour cache, no meta prefix codes.
    ...bitsOf(0, 1 + 3 + 1 + 1 + 1),
    // Green, red, blue, alpha, distance: simple, one symbol, 8 bits.
    ...[128, 128, 128, 255, 0].flatMap((symbol) => [1, 0, 1, ...bitsOf(symbol, 8)]),
  ]
  const bytes = Buffer.alloc(Math.ceil(bits.length / 8))
  for (const [at, bit] of bits.entries()) bytes[at >> 3] = (bytes[at >> 3] ?? 0) | (bit << (at % 8))
  return riffChunk('VP8L', Buffer.concat([Buffer.from([0x2f]), bytes]))
}

/** @param {number} value */
export function uint24(value) {
  return Buffer.from([value & 255, (value >> 8) & 255, (value >> 16) & 255])
}

/** Lowest bit first. @param {number} value @param {number} count */
function bitsOf(value, count) {
  return Array.from({ length: count }, (_, at) => (value >> at) & 1)
}
