import { constants, crc32, deflateRawSync } from 'node:zlib'

/** @typedef {{ width: number, height: number, depth?: number, colour?: number, interlace?: number }} PngHeader */

const PIECE = 2 ** 20
export const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
/** Colour types (PNG, 11.2.1). */
export const COLOUR = { grey: 0, rgb: 2, palette: 3, greyAlpha: 4, rgba: 6 }

/**
 * A chunk with its length and checksum.
 * @param {string} type
 * @param {Buffer | string} [data]
 */
export function pngChunk(type, data = '') {
  const named = Buffer.concat([Buffer.from(type, 'latin1'), Buffer.from(data)])
  return Buffer.concat([uint32(named.length - 4), named, uint32(crc32(named))])
}

/** @param {PngHeader} header */
function pngHeader({ width, height, depth = 8, colour = COLOUR.rgb, interlace = 0 }) {
  return pngChunk(
    'IHDR',
    Buffer.concat([uint32(width), uint32(height), Buffer.from([depth, colour, 0, 0, interlace])]),
  )
}

/**
 * A file of a header and chunks, with its end.
 * @param {PngHeader} header
 * @param {readonly Buffer[]} chunks
 */
export function png(header, chunks) {
  return Buffer.concat([PNG_SIGNATURE, pngHeader(header), ...chunks, pngChunk('IEND')])
}

/**
 * The chunks of a file, each with its length and checksum.
 * @param {Buffer} file
 */
export function pngChunksOf(file) {
  const chunks = []
  for (let at = PNG_SIGNATURE.length; at < file.length; at += 12 + file.readUInt32BE(at))
    chunks.push(file.subarray(at, at + 12 + file.readUInt32BE(at)))
  return chunks
}

/** The bytes between the keyword and the compressed data. */
const AFTER_KEYWORD = { zTXt: '\0\0', iTXt: '\0\x01\0\0\0', iCCP: '\0\0' }

/**
 * A chunk whose text or profile is compressed.
 * @param {keyof typeof AFTER_KEYWORD} type
 * @param {string} keyword
 * @param {Buffer} compressed
 */
export function compressedChunk(type, keyword, compressed) {
  return pngChunk(type, Buffer.concat([Buffer.from(keyword + AFTER_KEYWORD[type], 'latin1'), compressed]))
}

/**
 * One repeated byte in zlib's format. A piece that ends on a byte boundary is repeated, so any count takes
 * constant time.
 * @param {number} count
 * @param {number} value
 */
export function repeatedByte(count, value) {
  const compress = (/** @type {number} */ length) =>
    deflateRawSync(Buffer.alloc(length, value), { level: 9, finishFlush: constants.Z_SYNC_FLUSH })
  const piece = compress(PIECE)
  const pieces = Buffer.alloc(piece.length * Math.floor(count / PIECE), piece)
  // Adler-32 (RFC 1950) of equal bytes, by its sums.
  const [n, v, modulus] = [BigInt(count), BigInt(value), 65_521n]
  const low = (1n + n * v) % modulus
  const high = (n + (v * n * (n + 1n)) / 2n) % modulus
  const sum = uint32(Number((high << 16n) | low))
  return Buffer.concat([Buffer.from([0x78, 0x9c]), pieces, compress(count % PIECE), Buffer.from([3, 0]), sum])
}

/** @param {number} value */
export function uint32(value) {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
