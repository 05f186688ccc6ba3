import type { Config } from '../../config.ts'
import { fieldError } from '../../common/errors.ts'
import type { ImageDecoder } from '../../images/client/image-decoder.ts'
import { sizeOf } from '../../initializers/fans.ts'
import { preprocess } from '../../network/preprocessing.ts'
import type { Specification } from '../../network/specification.ts'
import type { Permit } from '../../serving/prediction/permit.ts'
import { decodeBase64 } from '../shared/base64.ts'
import { wrapPixels, readImages, type EncodedImage, type Images } from '../shared/encoded-images.ts'
import { assertCount } from '../shared/uploads.ts'
import { readBase64, type PredictRequest } from './request.ts'

interface Context {
  readonly specification: Specification
  readonly config: Config
  readonly decoder: ImageDecoder
  readonly permit: Permit
}

type Element = PredictRequest['elements'][number]

const HIGHEST_PIXEL = 255

/** Reads the images of a request and reserves their memory. INVALID_REQUEST or INVALID_IMAGE names the invalid one. */
export function readInstances(
  { input, elements }: PredictRequest,
  context: Context,
): Promise<Images> | Images {
  const { specification, config, decoder, permit } = context
  const shape = specification.architecture.input_shape
  const { resize } = specification.preprocessing
  assertCount(elements.length, '#', config.MAX_QUEUE)
  if (input === 'image_bytes')
    return readImages(elements.map(readEncoded), { shape, fit: 'cover', resize, config, decoder, permit })
  permit.reserve(elements.length, elements.length * sizeOf(shape) * Float32Array.BYTES_PER_ELEMENT)
  const pixels = readPixels(elements, shape)
  // Whole numbers become uint8, with the same bits as the image on every other route.
  const whole = pixels.every(Number.isInteger)
  const values = whole ? Uint8Array.from(pixels) : preprocess(pixels, specification.preprocessing)
  return wrapPixels('json numbers', values, [elements.length, ...shape])
}

function readEncoded({ value, pointer }: Element): EncodedImage {
  const b64 = readBase64(value)
  const bytes = b64 === undefined ? undefined : decodeBase64(b64)
  if (bytes === undefined)
    throw fieldError(pointer, 'must be {"b64": "..."} with an encoded image in base64, without other fields')
  return { bytes, pointer }
}

/** Flattens nested lists [height, width, channels], image after image. */
function readPixels(elements: readonly Element[], shape: readonly number[]): Float32Array {
  const pixels = new Float32Array(elements.length * sizeOf(shape))
  let filled = 0
  const read = (value: unknown, depth: number, pointer: string): void => {
    if (depth === shape.length) {
      if (!(typeof value === 'number' && value >= 0 && value <= HIGHEST_PIXEL))
        throw fieldError(pointer, `must be a number from 0 to 255, got ${describe(value)}`)
      pixels[filled++] = value
      return
    }
    if (!Array.isArray(value) || value.length !== shape[depth])
      throw fieldError(
        pointer,
        `must be a list of ${String(shape[depth])}: images are [${shape.join(', ')}], got ${describe(value)}`,
      )
    for (const inner of value) read(inner, depth + 1, pointer)
  }
  for (const { value, pointer } of elements) read(value, 0, pointer)
  return pixels
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${String(value.length)}`
  if (typeof value === 'number') return String(value)
  return typeof value === 'object' && value !== null ? 'an object' : JSON.stringify(value)
}
