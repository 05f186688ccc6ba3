import type { ImageFormat } from './decoder-contract.ts'
import { JPEG, readJpegHead } from './jpeg.ts'
import { readPngHeader } from './normalize-png.ts'
import { readWebpSize } from './normalize-webp.ts'

/** Photographs of 12 megapixels are common. */
const MAX_SMALL_PIXELS = 12.5e6
/** Sequential JPEGs with Huffman coding cost a fifth of other images, and no memory, unless they are decoded in full. */
const SEQUENTIAL_SHARE = 1 / 5
const MAX_SMALL_BYTES = 32 * 2 ** 20

/**
 * True if decoding an image may take long or much memory, judged by its unverified header. `whole`: all pixels are decoded
 * before they are resized.
 */
export function isLarge(file: Buffer, format: ImageFormat, whole: boolean): boolean {
  return file.length > MAX_SMALL_BYTES || weighPixels(file, format, whole) > MAX_SMALL_PIXELS
}

function weighPixels(file: Buffer, format: ImageFormat, whole: boolean): number {
  if (format !== 'jpeg') {
    const size = format === 'png' ? readPngHeader(file) : readWebpSize(file)
    return size === undefined ? 0 : size.width * size.height
  }
  const frame = readJpegHead(file)?.frame
  if (frame === undefined) return Infinity
  const sequential = frame.marker === JPEG.sof0 || frame.marker === JPEG.sof1
  return frame.width * frame.height * (sequential && !whole ? SEQUENTIAL_SHARE : 1)
}
