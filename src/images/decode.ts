import sharp, { type Metadata, type Sharp } from 'sharp'
import { fieldError } from '../errors.ts'

export type Fit = 'cover' | 'fill' | 'contain' | 'exact'

export interface DecodeOptions {
  /** [height, width, channels] of the model's input. */
  readonly shape: readonly number[]
  readonly fit: Fit
  readonly maxPixels: number
}

export interface DecodedImage {
  /** uint8 [height, width, channels]. */
  readonly pixels: Uint8Array
  /** Of the upload, after its EXIF turn. */
  readonly width: number
  readonly height: number
  readonly format: string
}

const FORMATS = ['jpeg', 'png', 'webp']
/** EXIF orientations from here on are on their side. */
const FIRST_SIDEWAYS_ORIENTATION = 5

/**
 * Bytes of a JPEG, PNG or WebP to pixels of the model's size: EXIF orientation applied, alpha flattened on black, grey
 * expanded. An image that has the size already keeps its pixels. INVALID_IMAGE at `pointer` where it cannot be used.
 */
export async function decodeImage(
  bytes: Uint8Array,
  pointer: string,
  options: DecodeOptions,
): Promise<DecodedImage> {
  const { shape, fit, maxPixels } = options
  const [height = 0, width = 0, channels = 3] = shape
  if (channels !== 1 && channels !== 3) {
    throw fieldError(
      pointer,
      `cannot become ${String(channels)} channels; send application/x-npy`,
      'INVALID_IMAGE',
    )
  }
  if (bytes.length === 0)
    throw fieldError(pointer, 'is empty; send a JPEG, PNG or WebP image', 'INVALID_IMAGE')
  const image = sharp(bytes, { limitInputPixels: maxPixels, failOn: 'warning' })
  const metadata = await readable(pointer, () => image.metadata())
  if (!FORMATS.includes(metadata.format)) throw notAnImage(pointer)
  const size = turnedSize(metadata)
  if (size.width * size.height > maxPixels) {
    throw fieldError(
      pointer,
      `has ${String(size.width * size.height)} pixels, more than the ${String(maxPixels)} allowed; send a smaller image`,
      'INVALID_IMAGE',
    )
  }
  const untouched = size.width === width && size.height === height
  if (fit === 'exact' && !untouched) {
    throw fieldError(
      pointer,
      `must be ${String(width)}x${String(height)} with fit=exact, got ${String(size.width)}x${String(size.height)}; resize it, or use fit=cover, fill or contain`,
      'INVALID_IMAGE',
    )
  }
  let pipeline: Sharp = image.autoOrient().flatten({ background: '#000' })
  if (!untouched)
    pipeline = pipeline.resize(width, height, { fit: fit === 'exact' ? 'cover' : fit, background: '#000' })
  pipeline = channels === 1 ? pipeline.greyscale() : pipeline.toColourspace('srgb')
  const pixels = await readable(pointer, () => pipeline.raw({ depth: 'uchar' }).toBuffer())
  if (pixels.length !== width * height * channels) throw notAnImage(pointer)
  return { pixels, ...size, format: metadata.format }
}

function turnedSize({ width, height, orientation = 1 }: Metadata): { width: number; height: number } {
  return orientation >= FIRST_SIDEWAYS_ORIENTATION ? { width: height, height: width } : { width, height }
}

async function readable<R>(pointer: string, read: () => Promise<R>): Promise<R> {
  try {
    return await read()
  } catch (error) {
    const { message } = error as Error
    if (/unsupported image format/i.test(message)) throw notAnImage(pointer)
    if (/pixel limit/i.test(message))
      throw fieldError(pointer, 'has more pixels than allowed; send a smaller image', 'INVALID_IMAGE')
    throw fieldError(
      pointer,
      'is damaged or cut off and cannot be decoded; send the whole file',
      'INVALID_IMAGE',
    )
  }
}

function notAnImage(pointer: string) {
  return fieldError(pointer, 'is not a JPEG, PNG or WebP image; send one', 'INVALID_IMAGE')
}
