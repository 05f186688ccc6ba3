import { readOrientation } from './exif.ts'
import { assertPixels, damaged } from './decoder-contract.ts'
import type { NormalizedImage } from './normalized.ts'

const HEAD_BYTES = 12
const CHUNK_HEAD_BYTES = 8
/** The flags of an extended file that affect pixels: transparency and animation. */
const KEPT_FLAGS = 0x12
const ANIMATION_FLAG = 0x02
const LOSSLESS_SIGNATURE = 0x2f
/** Background colour and loop count. */
const ANIMATION_BYTES = 6
const FRAME_HEAD_BYTES = 16

export interface WebpSize {
  readonly width: number
  readonly height: number
}

/**
 * Reduces a WebP to its pixels, and an animation to its first frame on a transparent background. Drops profiles, texts and
 * bytes after the end. Takes linear time.
 */
export function normalizeWebp(file: Buffer, maxPixels: number): NormalizedImage {
  const size = readWebpSize(file)
  const length = file.length < HEAD_BYTES ? Infinity : 8 + file.readUInt32LE(4)
  if (size === undefined || length > file.length) throw damaged()
  assertPixels(size.width, size.height, maxPixels)
  const parts: Buffer[] = []
  let orientation = 1
  let animated = false
  let lossless = false
  let hasImage = false
  for (const { type, data } of readChunks(file.subarray(HEAD_BYTES, length))) {
    if (type === 'VP8X') {
      animated = ((data[0] ?? 0) & ANIMATION_FLAG) !== 0
      const kept = Buffer.from(data.subarray(0, 10))
      kept[0] = (kept[0] ?? 0) & KEPT_FLAGS
      parts.push(makeChunk(type, kept))
    } else if (type === 'EXIF') {
      const prefixed = data.toString('latin1', 0, 6) === 'Exif\0\0'
      orientation = readOrientation(prefixed ? data.subarray(6) : data)
    } else if (type === 'ANMF' && animated && !hasImage) {
      hasImage = true
      parts.push(makeChunk('ANIM', Buffer.alloc(ANIMATION_BYTES)), makeChunk(type, reduceFrame(data)))
      lossless = data.toString('latin1', FRAME_HEAD_BYTES, FRAME_HEAD_BYTES + 4) === 'VP8L'
    } else if (type === 'ALPH' && !animated && !hasImage) parts.push(makeChunk(type, data))
    else if ((type === 'VP8 ' || type === 'VP8L') && !animated && !hasImage) {
      hasImage = true
      lossless = type === 'VP8L'
      parts.push(makeChunk(type, data))
    }
  }
  if (!hasImage) throw damaged()
  const head = Buffer.from(file.subarray(0, HEAD_BYTES))
  const bytes = Buffer.concat([head, ...parts])
  bytes.writeUInt32LE(bytes.length - 8, 4)
  const buffers = animated ? 3 : lossless ? 2 : 1
  return {
    ...{ bytes, format: 'webp', ...size, orientation, cmyk: false },
    workingBytes: size.width * size.height * 4 * buffers,
  }
}

/** The size of the whole image; undefined if the first chunk has none. */
export function readWebpSize(file: Buffer): WebpSize | undefined {
  const type = file.toString('latin1', HEAD_BYTES, HEAD_BYTES + 4)
  const data = file.subarray(HEAD_BYTES + CHUNK_HEAD_BYTES)
  if (type === 'VP8X' && data.length >= 10)
    return { width: 1 + data.readUIntLE(4, 3), height: 1 + data.readUIntLE(7, 3) }
  if (type === 'VP8 ' && data.length >= 10)
    return { width: data.readUInt16LE(6) & 0x3fff, height: data.readUInt16LE(8) & 0x3fff }
  if (type !== 'VP8L' || data.length < 5 || data[0] !== LOSSLESS_SIGNATURE) return undefined
  const bits = data.readUInt32LE(1)
  return { width: 1 + (bits & 0x3fff), height: 1 + ((bits >>> 14) & 0x3fff) }
}

function* readChunks(bytes: Buffer): Generator<{ type: string; data: Buffer }> {
  for (let at = 0; at + CHUNK_HEAD_BYTES <= bytes.length;) {
    const type = bytes.toString('latin1', at, at + 4)
    const start = at + CHUNK_HEAD_BYTES
    const end = start + bytes.readUInt32LE(at + 4)
    if (end > bytes.length) throw damaged()
    yield { type, data: bytes.subarray(start, end) }
    at = end + (end % 2)
  }
}

/** Reduces a frame to its image chunks. */
function reduceFrame(data: Buffer): Buffer {
  const chunks = [...readChunks(data.subarray(FRAME_HEAD_BYTES))]
  const pictures = chunks.filter(({ type }) => ['ALPH', 'VP8 ', 'VP8L'].includes(type))
  return Buffer.concat([
    data.subarray(0, FRAME_HEAD_BYTES),
    ...pictures.map(({ type, data: part }) => makeChunk(type, part)),
  ])
}

function makeChunk(type: string, data: Buffer): Buffer {
  const chunk = Buffer.alloc(CHUNK_HEAD_BYTES + data.length + (data.length % 2))
  chunk.write(type, 0, 'latin1')
  chunk.writeUInt32LE(data.length, 4)
  data.copy(chunk, CHUNK_HEAD_BYTES)
  return chunk
}
