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
const NOT_AN_IMAGE = 'is not a JPEG, PNG or WebP image; send one'
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
  const unusable = (detail: string) => fieldError(pointer, detail, 'INVALID_IMAGE')
  const readable = async <R>(read: Promise<R>): Promise<R> => {
    try {
      return await read
    } catch (error) {
      const { message } = error as Error
      if (/unsupported image format/i.test(message)) throw unusable(NOT_AN_IMAGE)
      if (/pixel limit/i.test(message)) throw unusable('has more pixels than allowed; send a smaller image')
      throw unusable('is damaged or cut off and cannot be decoded; send the whole file')
    }
  }
  const [height = 0, width = 0, channels = 3] = shape
  if (channels !== 1 && channels !== 3)
    throw unusable(`cannot become ${String(channels)} channels; send application/x-npy`)
  if (bytes.length === 0) throw unusable('is empty; send a JPEG, PNG or WebP image')
  const pixelsOf = async (image: Sharp) => {
    const flat = image.flatten({ background: '#000' })
    const coloured = channels === 1 ? flat.greyscale() : flat.toColourspace('srgb')
    return readable(coloured.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true }))
  }
  const image = sharp(bytes, { limitInputPixels: maxPixels, failOn: 'warning' })
  const metadata = await readable(image.metadata())
  if (!FORMATS.includes(metadata.format)) throw unusable(NOT_AN_IMAGE)
  const size = turnedSize(metadata)
  if (size.width * size.height > maxPixels) {
    throw unusable(
      `has ${String(size.width * size.height)} pixels, more than the ${String(maxPixels)} allowed; send a smaller image`,
    )
  }
  const untouched = size.width === width && size.height === height
  if (fit === 'exact' && !untouched) {
    throw unusable(
      `must be ${String(width)}x${String(height)} with fit=exact, got ${String(size.width)}x${String(size.height)}; resize it, or use fit=cover, fill or contain`,
    )
  }
  const upright = image.autoOrient()
  const fitted = { fit: fit === 'exact' ? 'cover' : fit, background: '#000' } as const
  const { data } = await pixelsOf(untouched ? upright : upright.resize(width, height, fitted))
  if (data.length !== width * height * channels) throw unusable(NOT_AN_IMAGE)
  return { pixels: data, ...size, format: metadata.format }
}

function turnedSize({ width, height, orientation = 1 }: Metadata): { width: number; height: number } {
  return orientation >= FIRST_SIDEWAYS_ORIENTATION ? { width: height, height: width } : { width, height }
}
