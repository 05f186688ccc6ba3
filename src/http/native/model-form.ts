import type { Multipart } from '@fastify/multipart'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Readable } from 'node:stream'
import { readFactors, type Analysis, type LayerScale } from '../../analysis/contract.ts'
import { bodyTooLarge, fieldError, pointerTo } from '../../common/errors.ts'
import type { Config } from '../../config.ts'
import type { ImageDecoder } from '../../images/client/image-decoder.ts'
import { identify } from '../../network/identity.ts'
import { planRequest, type Plan } from '../../network/plan.ts'
import type { SpecificationRequest } from '../../network/specification.ts'
import { importWeights, type LoadedWeights } from '../../serving/models/import-weights.ts'
import { assertName } from '../../serving/models/names.ts'
import type { Store } from '../../serving/models/store.ts'
import { parser } from '../../common/validation.ts'
import { releaseStored } from '../shared/body-permit.ts'
import { abortOnClose } from '../shared/client-abort.ts'
import { CreateRequest } from '../shared/model-schemas.ts'
import { maxWeightsBytes, readParts, weightsTooLarge } from '../shared/forms.ts'
import { parseJsonBody } from '../shared/uploads.ts'

const ORDER =
  'send "spec" (JSON) once, then "weights" (a safetensors file) once, or "images" for "residual_scheme": "lsuv"'
/** The most images measured at once, counted in images of 224x224. */
const MAX_IMAGES = 32
const REFERENCE_PIXELS = 224 * 224
/** The most parts of a form; only small images reach it. */
const MAX_PARTS = 1024
const parseCreate = parser(CreateRequest)

/** A model from a form: with weights, or with factors measured on images. */
export interface FormModel extends Partial<LoadedWeights> {
  readonly plan: Plan
  readonly id: string
  readonly measured?: readonly LayerScale[]
}

interface Context {
  readonly store: Store
  readonly analysis: Analysis
  readonly decoder: ImageDecoder
  readonly config: Pick<Config, 'MAX_MODEL_PARAMETERS' | 'MAX_BODY_BYTES' | 'MAX_IMAGE_PIXELS'>
}

/**
 * Reads the form of a model: `spec`, which is optional with a weights file of this service, then `weights` or `images`.
 * Weights are staged; the caller keeps or discards them. After an error nothing stays on disk.
 */
export async function readModelForm(
  request: FastifyRequest,
  reply: FastifyReply,
  { store, analysis, decoder, config }: Context,
): Promise<{ name: string | undefined; given: FormModel }> {
  const { MAX_MODEL_PARAMETERS: maxParameters, MAX_BODY_BYTES, MAX_IMAGE_PIXELS: maxPixels } = config
  const limits = {
    fileSize: maxWeightsBytes(config),
    parts: MAX_PARTS,
  }
  let name: string | undefined
  let specification: SpecificationRequest | undefined
  let loaded: LoadedWeights | undefined
  let imaged: { readonly plan: Plan; readonly pixels: Uint8Array[] } | undefined
  let total = 0
  try {
    // The plugin parses JSON fields without a depth limit, so every part is read as a file.
    const isPartAFile = (): boolean => true
    for await (const part of readParts(request, { limits, isPartAFile })) {
      const { fieldname } = part
      if (fieldname === 'spec' && !specification && !loaded) {
        ;({ name, ...specification } = parseCreate(await readJsonPart(part, MAX_BODY_BYTES)))
        if (name !== undefined) assertName(name)
      } else if (fieldname === 'weights' && part.type === 'file' && !loaded && !imaged) {
        // A small file has been read completely before a listener is added.
        if (part.file.truncated) throw weightsTooLarge()
        part.file.once('limit', () => part.file.destroy(weightsTooLarge()))
        const file = Readable.from(releaseStored(part.file, request.permit), { objectMode: false })
        loaded = await importWeights(file, specification, { store, analysis, maxParameters })
      } else if (fieldname === 'images' && part.type === 'file' && specification && !loaded) {
        imaged ??= { plan: planForImages(specification, maxParameters), pixels: [] }
        const { plan, pixels } = imaged
        const { architecture, preprocessing } = plan.specification
        const shape = architecture.input_shape
        assertImageCount(pixels.length + 1, shape)
        const bytes = await readPart(part.file, MAX_BODY_BYTES - total)
        total += bytes.length
        const pointer = `#/images/${String(pixels.length)}`
        const options = { shape, fit: 'cover', resize: preprocessing.resize, maxPixels } as const
        const image = await decoder.decode({ file: bytes, pointer, options, signal: abortOnClose(reply) })
        pixels.push(image.pixels)
      } else {
        const known = ['spec', 'weights', 'images'].includes(fieldname)
        throw fieldError(
          pointerTo('#', fieldname),
          `${known ? 'comes too late' : 'is not a part of this form'}; ${ORDER}`,
        )
      }
    }
    if (loaded) return { name, given: loaded }
    if (!imaged) throw fieldError('#/weights', `is required; ${ORDER}`)
    const { plan, pixels } = imaged
    const measured = await analysis.unitVariance(plan.specification, Buffer.concat(pixels))
    const id = identify(plan, undefined, readFactors(measured))
    return { name, given: { plan, id, measured } }
  } catch (error) {
    await loaded?.weights.discard()
    throw error
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

async function readJsonPart(part: Multipart, maxBytes: number): Promise<unknown> {
  if (part.type === 'field') throw new TypeError('every part of this form is read as a file')
  return parseJsonBody(await readPart(part.file, maxBytes), 'the part "spec"')
}

async function readPart(file: AsyncIterable<Buffer>, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of file) {
    size += chunk.length
    if (size > maxBytes) throw bodyTooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
