import type { Config } from '../../config.ts'
import type { ImageValues } from '../../engine/contract.ts'
import type { ImageDecoder } from '../../images/client/image-decoder.ts'
import {
  findResize,
  type DecodedImage,
  type DecodeOptions,
  type Fit,
  type Resize,
} from '../../images/decoder-contract.ts'
import { plainJpegSize } from '../../images/jpeg.ts'
import { sizeOf } from '../../initializers/fans.ts'
import type { Permit } from '../../serving/prediction/permit.ts'

/** The bytes of an image, and its JSON pointer in the request. */
export interface EncodedImage {
  readonly bytes: Uint8Array
  readonly pointer: string
}

/** Images in the form that the engine reads. */
export interface Images {
  readonly values: ImageValues
  readonly about: { readonly width: number; readonly height: number; readonly format: string }[]
  /** Decodes JPEGs that the engine cannot decode to pixels; INVALID_IMAGE if the image decoder fails too. */
  readonly decode?: () => Promise<Images>
}

export interface ImagesContext {
  /** [height, width, channels] of the model's input. */
  readonly shape: readonly number[]
  readonly fit: Fit
  /** The model's own resizing, for fit=cover. */
  readonly resize: Resize | null
  readonly config: Pick<Config, 'MAX_IMAGE_PIXELS'>
  readonly decoder: ImageDecoder
  readonly permit: Permit
}

/**
 * Reads encoded images. Plain JPEGs of the model's size stay encoded, unless the model resizes every image: the engine
 * decodes them at a quarter of the cost of the image decoder, and receives an eighth of the bytes. QUEUE_FULL if memory
 * runs out.
 */
export async function readImages(encoded: readonly EncodedImage[], context: ImagesContext): Promise<Images> {
  const { shape, permit } = context
  const [height = 0, width = 0, channels] = shape
  const fits = ({ bytes }: EncodedImage): boolean => {
    const size = plainJpegSize(bytes)
    return size?.width === width && size.height === height
  }
  if (channels !== 3 || findResize(context) !== null || !encoded.every(fits))
    return decodeImages(encoded, context)
  permit.reserve(encoded.length, countBytes(encoded))
  return {
    values: encoded.map(({ bytes }) => bytes),
    about: encoded.map(() => ({ width, height, format: 'jpeg' })),
    decode: () => decodeImages(encoded, context),
  }
}

/** Wraps images that were sent as numbers, [n, height, width, channels]. */
export function wrapPixels(
  format: string,
  values: Uint8Array | Float32Array,
  [count = 0, height = 0, width = 0]: readonly number[],
): Images {
  return { values, about: Array.from({ length: count }, () => ({ width, height, format })) }
}

async function decodeImages(
  encoded: readonly EncodedImage[],
  { shape, fit, resize, config: { MAX_IMAGE_PIXELS: maxPixels }, decoder, permit }: ImagesContext,
): Promise<Images> {
  const decodedBytes = encoded.length * sizeOf(shape)
  permit.reserve(encoded.length, countBytes(encoded) + decodedBytes)
  const decoded = await decodeAll(encoded, { shape, fit, resize, maxPixels }, decoder, permit.signal)
  permit.reserve(encoded.length, decodedBytes)
  const [first, ...others] = decoded.map(({ pixels }) => pixels)
  return {
    values:
      first !== undefined && others.length === 0 ? first : Buffer.concat(decoded.map(({ pixels }) => pixels)),
    about: decoded.map(({ width, height, format }) => ({ width, height, format })),
  }
}

/** Decodes images in order, at most one per decoder process at a time, so that other requests can interleave. */
export async function decodeAll(
  encoded: readonly EncodedImage[],
  options: DecodeOptions,
  decoder: ImageDecoder,
  signal: AbortSignal,
): Promise<DecodedImage[]> {
  const decoded: DecodedImage[] = []
  const remaining = encoded.entries()
  const failed = new AbortController()
  const decodeNext = async (): Promise<void> => {
    for (const [index, { bytes, pointer }] of remaining) {
      const until = AbortSignal.any([signal, failed.signal])
      decoded[index] = await decoder.decode({ file: bytes, pointer, options, signal: until })
    }
  }
  try {
    await Promise.all(Array.from({ length: Math.min(decoder.processes, encoded.length) }, decodeNext))
    return decoded
  } catch (error) {
    failed.abort(error)
    throw error
  }
}

function countBytes(encoded: readonly EncodedImage[]): number {
  return encoded.reduce((sum, { bytes }) => sum + bytes.length, 0)
}
