import type { ImageFormat } from './decoder-contract.ts'
import { JPEG, readJpegHead } from './jpeg.ts'
import { readPngHeader } from './normalize-png.ts'
import { readWebpSize } from './normalize-webp.ts'

/** Photographs of 12 megapixels are common. */
const MAX_SMALL_PIXELS = 12.5e6
/** Sequential JPEGs with Huffman coding cost a fifth of other images, and no memory. */
const SEQUENTIAL_SHARE = 1 / 5
const MAX_SMALL_BYTES = 32 * 2 ** 20

/** True if decoding an image may take long or much memory, judged by its unverified header. */
export function isLarge(file: Buffer, format: ImageFormat): boolean {
  return file.length > MAX_SMALL_BYTES || weighPixels(file, format) > MAX_SMALL_PIXELS
}

function weighPixels(file: Buffer, format: ImageFormat): number {
  if (format !== 'jpeg') {
    const size = format === 'png' ? readPngHeader(file) : readWebpSize(file)
    return size === undefined ? 0 : size.width * size.height
  }
  const frame = readJpegHead(file)?.frame
  if (frame === undefined) return Infinity
  return (
    frame.width *
    frame.height *
    (frame.marker === JPEG.sof0 || frame.marker === JPEG.sof1 ? SEQUENTIAL_SHARE : 1)
  )
}
