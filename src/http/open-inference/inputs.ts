import type { Config } from '../../config.ts'
import { fieldError } from '../../common/errors.ts'
import type { ImageDecoder } from '../../images/client/image-decoder.ts'
import type { Fit } from '../../images/decoder-contract.ts'
import { preprocess } from '../../network/preprocessing.ts'
import type { Specification } from '../../network/specification.ts'
import type { Permit } from '../../serving/prediction/permit.ts'
import { wrapPixels, readImages, type Images } from '../shared/encoded-images.ts'
import { assertCount } from '../shared/uploads.ts'
import { assertUniqueNames, type InferenceRequest, type InputTensor } from './request.ts'
import { readElements, readFloats, readUint8 } from './tensors.ts'

interface Context {
  readonly specification: Specification
  readonly config: Config
  readonly decoder: ImageDecoder
  readonly permit: Permit
}

const FITS: readonly unknown[] = ['cover', 'fill', 'contain', 'exact'] satisfies readonly Fit[]
const HIGHEST_PIXEL = 255

/** Reads the images of a request, from exactly one of `images` and `image_bytes`, and reserves their memory. */
export async function readInputs(
  { inputs, parameters }: InferenceRequest,
  context: Context,
): Promise<Images> {
  for (const { name, pointer } of inputs) {
    if (name !== 'images' && name !== 'image_bytes')
      throw fieldError(`${pointer}/name`, `unexpected inference input '${name}'; send images or image_bytes`)
  }
  assertUniqueNames('input', inputs)
  const [input, ...others] = inputs
  if (input === undefined || others.length > 0)
    throw fieldError(
      '#/inputs',
      `must be exactly one of images and image_bytes, got ${String(inputs.length)} inputs`,
    )
  if (input.name === 'images') return readPixels(input, context)
  const { fit = 'cover' } = parameters
  if (!FITS.includes(fit)) throw fieldError('#/parameters/fit', `must be one of ${FITS.join(', ')}`)
  return decodeInput(input, fit as Fit, context)
}

function readPixels(input: InputTensor, { specification, config, permit }: Context): Images {
  const { architecture, preprocessing } = specification
  const { pointer, datatype, shape } = input
  const [count = 0, ...image] = shape
  if (count < 1 || image.join() !== architecture.input_shape.join())
    throw fieldError(
      `${pointer}/shape`,
      `unexpected shape for input 'images', expecting [n, ${architecture.input_shape.join(', ')}], got [${shape.join(', ')}]`,
    )
  assertCount(count, `${pointer}/shape/0`, config.MAX_QUEUE)
  if (datatype === 'UINT8') {
    const values = readUint8(input)
    permit.reserve(count, values.byteLength)
    return wrapPixels('uint8 tensor', values, shape)
  }
  if (datatype !== 'FP32')
    throw fieldError(`${pointer}/datatype`, `of input 'images' must be UINT8 or FP32, got ${datatype}`)
  const pixels = readFloats(input)
  const wrong = pixels.findIndex((value) => !(value >= 0 && value <= HIGHEST_PIXEL))
  if (wrong >= 0)
    throw fieldError(
      `${pointer}/data`,
      `of input 'images' must be pixels from 0 to 255, before preprocessing; got ${String(pixels[wrong])} at ${String(wrong)}`,
    )
  permit.reserve(count, pixels.byteLength)
  return wrapPixels('fp32 tensor', preprocess(pixels, preprocessing), shape)
}

async function decodeInput(
  input: InputTensor,
  fit: Fit,
  { specification, config, decoder, permit }: Context,
): Promise<Images> {
  const { pointer, datatype, shape } = input
  const [count = 0, width = 1] = shape
  if (shape.length < 1 || shape.length > 2 || count < 1 || width !== 1)
    throw fieldError(
      `${pointer}/shape`,
      `unexpected shape for input 'image_bytes', expecting [n] or [n, 1], got [${shape.join(', ')}]`,
    )
  if (datatype !== 'BYTES')
    throw fieldError(`${pointer}/datatype`, `of input 'image_bytes' must be BYTES, got ${datatype}`)
  assertCount(count, `${pointer}/shape/0`, config.MAX_QUEUE)
  const encoded = readElements(input).map((bytes, index) => ({
    bytes,
    pointer: `${pointer}/data/${String(index)}`,
  }))
  return readImages(encoded, {
    shape: specification.architecture.input_shape,
    fit,
    resize: specification.preprocessing.resize,
    config,
    decoder,
    permit,
  })
}
