import { crc32 } from 'node:zlib'
import { readOrientation } from './exif.ts'
import { assertPixels, damaged, UnusableImage } from './decoder-contract.ts'
import type { NormalizedImage } from './normalized.ts'
import { TextBudget } from './png-texts.ts'

const SIGNATURE_BYTES = 8
/** Length, type and checksum of a chunk. */
const CHUNK_BYTES = 12
const MAX_CHUNKS = 100_000
const HEADER_BYTES = 13
const CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }
const PALETTE = 3
/** The number of bytes of a transparent colour, by colour type. */
const TRANSPARENT_COLOUR: Readonly<Record<number, number>> = { 0: 2, 2: 6 }

export interface PngHeader {
  readonly width: number
  readonly height: number
  readonly bits: number
  readonly colourType: number
  readonly interlaced: boolean
}

/**
 * Reduces a PNG to the chunks that determine its pixels: header, palette, transparency and image data. Drops texts,
 * profiles, gamma, animation and bytes after the end. Takes linear time.
 */
export function normalizePng(file: Buffer, maxPixels: number): NormalizedImage {
  const header = readPngHeader(file)
  if (header === undefined) throw damaged()
  const { width, height, colourType } = header
  if (width === 0 || height === 0) throw damaged()
  assertPixels(width, height, maxPixels)
  const parts = [file.subarray(0, SIGNATURE_BYTES)]
  let orientation = 1
  let palette = 0
  let hasTransparency = false
  let hasData = false
  let count = 0
  const texts = new TextBudget()
  for (let at = SIGNATURE_BYTES; at + CHUNK_BYTES <= file.length;) {
    if (++count > MAX_CHUNKS)
      throw new UnusableImage(`has more than ${String(MAX_CHUNKS)} PNG chunks; save it again`)
    const length = file.readUInt32BE(at)
    const end = at + CHUNK_BYTES + length
    const type = file.toString('latin1', at + 4, at + 8)
    if (type === 'IEND') break
    // The file is truncated: damaged if that affects the image data, otherwise complete.
    if (end > file.length && type !== 'IDAT') break
    if (end > file.length) throw damaged()
    const chunk = file.subarray(at, end)
    at = end
    if (type === 'IHDR') {
      if (parts.length > 1) throw damaged()
      parts.push(verifyChunk(chunk))
    } else if (type === 'IDAT') {
      hasData = true
      parts.push(verifyChunk(chunk))
    } else if (type === 'PLTE') {
      // For other colour types a palette is a suggestion.
      if (colourType !== PALETTE) continue
      if (palette > 0 || hasData) throw damaged()
      palette = Math.floor(length / 3)
      parts.push(verifyChunk(chunk))
    } else if (type === 'tRNS') {
      const data = verifyChunk(chunk).subarray(8, 8 + length)
      const used = colourType === PALETTE ? Math.min(palette, length) : TRANSPARENT_COLOUR[colourType]
      if (hasTransparency || hasData || used === undefined || used === 0 || used > length) continue
      hasTransparency = true
      parts.push(makeChunk('tRNS', data.subarray(0, used)))
    } else if (type === 'eXIf') orientation = readOrientation(chunk.subarray(8, 8 + length))
    // An unknown critical chunk: its type begins with a capital letter.
    else if (type < 'a') throw damaged()
    else texts.add(type, chunk.subarray(8, 8 + length))
  }
  if (!hasData) throw damaged()
  parts.push(makeChunk('IEND', Buffer.alloc(0)))
  return {
    ...{ bytes: Buffer.concat(parts), format: 'png', width, height, orientation, cmyk: false },
    workingBytes: countWorkingBytes(header),
  }
}

/** Undefined if the file does not begin with a header. */
export function readPngHeader(file: Buffer): PngHeader | undefined {
  const at = SIGNATURE_BYTES
  if (file.length < at + CHUNK_BYTES + HEADER_BYTES || file.toString('latin1', at + 4, at + 8) !== 'IHDR')
    return undefined
  const [bits = 0, colourType = 0, , , interlaced] = file.subarray(at + 16, at + 21)
  return {
    ...{ width: file.readUInt32BE(at + 8), height: file.readUInt32BE(at + 12), bits, colourType },
    interlaced: interlaced === 1,
  }
}

/** An interlaced image is decoded in memory, with transparency as a channel; others are decoded row by row. */
function countWorkingBytes({ width, height, bits, colourType, interlaced }: PngHeader): number {
  if (!interlaced) return 0
  const channels = colourType === PALETTE ? 4 : (CHANNELS[colourType] ?? 4) + 1
  return width * height * channels * (bits === 16 ? 2 : 1)
}

/** Throws if the checksum of a chunk is wrong. */
function verifyChunk(chunk: Buffer): Buffer {
  const end = chunk.length - 4
  if (crc32(chunk.subarray(4, end)) !== chunk.readUInt32BE(end)) throw damaged()
  return chunk
}

function makeChunk(type: string, data: Buffer): Buffer {
  const chunk = Buffer.alloc(CHUNK_BYTES + data.length)
  chunk.writeUInt32BE(data.length, 0)
  chunk.write(type, 4, 'latin1')
  data.copy(chunk, 8)
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + data.length)), 8 + data.length)
  return chunk
}
