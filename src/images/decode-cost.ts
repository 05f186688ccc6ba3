import type { ImageFormat } from './decoder-contract.ts'
import { JPEG, readJpegHead } from './jpeg.ts'
import { readPngHeader } from './normalize-png.ts'
import { readWebpSize } from './normalize-webp.ts'

/** A photograph of 12 megapixels is the usual case. */
const MOST_PIXELS = 12.5e6
/** Sequential JPEGs coded by Huffman cost a fifth of what others do, and no memory. */
const SEQUENTIAL_SHARE = 1 / 5
const MOST_BYTES = 32 * 2 ** 20

/** Whether an image may take long or much memory, as far as its header shows without being trusted. */
export function isLarge(file: Buffer, format: ImageFormat): boolean {
  return file.length > MOST_BYTES || weighedPixels(file, format) > MOST_PIXELS
}

function weighedPixels(file: Buffer, format: ImageFormat): number {
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
