import { fieldError } from '../../common/errors.ts'
import type { Config } from '../../config.ts'
import type { ImageDecoder } from '../../images/client/image-decoder.ts'
import { planRequest, type Plan } from '../../network/plan.ts'
import type { SpecificationRequest } from '../../network/specification.ts'
import { readPart } from '../shared/forms.ts'

/** The most images measured at once, counted in images of 224x224. */
const MAX_IMAGES = 32
const REFERENCE_PIXELS = 224 * 224

type Limits = Pick<Config, 'MAX_MODEL_PARAMETERS' | 'MAX_BODY_BYTES' | 'MAX_IMAGE_PIXELS'>

/** The images of a form, on which LSUV measures. */
export class FormImages {
  readonly plan: Plan
  readonly #limits: Limits
  readonly #pixels: Uint8Array[] = []
  #bytes = 0

  constructor(specification: SpecificationRequest, limits: Limits) {
    this.plan = planForImages(specification, limits.MAX_MODEL_PARAMETERS)
    this.#limits = limits
  }

  /** Concatenated. */
  get pixels(): Uint8Array {
    return Buffer.concat(this.#pixels)
  }

  async add(file: AsyncIterable<Buffer>, decoder: ImageDecoder, signal: AbortSignal): Promise<void> {
    const { MAX_BODY_BYTES, MAX_IMAGE_PIXELS: maxPixels } = this.#limits
    const { architecture, preprocessing } = this.plan.specification
    const shape = architecture.input_shape
    const count = this.#pixels.length
    assertImageCount(count + 1, shape)
    const bytes = await readPart(file, MAX_BODY_BYTES - this.#bytes)
    this.#bytes += bytes.length
    const options = { shape, fit: 'cover', resize: preprocessing.resize, maxPixels } as const
    const pointer = `#/images/${String(count)}`
    this.#pixels.push((await decoder.decode({ file: bytes, pointer, options, signal })).pixels)
  }
}

function planForImages(specification: SpecificationRequest, maxParameters: number): Plan {
  const plan = planRequest(specification, maxParameters)
  if (plan.specification.residual_scheme === 'lsuv') return plan
  throw fieldError('#/images', 'require "residual_scheme": "lsuv", the only scheme that measures images')
}

function assertImageCount(count: number, [height = 1, width = 1]: readonly number[]): void {
  const max = Math.max(1, Math.floor((MAX_IMAGES * REFERENCE_PIXELS) / (height * width)))
  if (count > max)
    throw fieldError(
      '#/images',
      `must be at most ${String(max)} of ${String(height)}x${String(width)}, because all are measured at once; send fewer`,
    )
}
