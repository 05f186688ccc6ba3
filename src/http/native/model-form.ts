import type { Multipart } from '@fastify/multipart'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Readable } from 'node:stream'
import { readFactors, type LayerScale } from '../../analysis/contract.ts'
import { bodyTooLarge, fieldError, pointerTo, ServiceError } from '../../common/errors.ts'
import { identify } from '../../network/identity.ts'
import { planRequest, type Plan } from '../../network/plan.ts'
import type { SpecificationRequest } from '../../network/specification.ts'
import { importWeights, type LoadedWeights } from '../../serving/models/import-weights.ts'
import { assertName } from '../../serving/models/names.ts'
import { parser } from '../../common/validation.ts'
import { hangUp } from '../shared/client-abort.ts'
import { CreateRequest } from '../shared/model-schemas.ts'
import type { Services } from '../shared/services.ts'
import { largestWeights, partsOf } from '../shared/forms.ts'
import { parseJsonBody } from '../shared/uploads.ts'

const ORDER =
  'send "spec" (JSON) once, then "weights" (a safetensors file) once, or "images" for "residual_scheme": "lsuv"'
/** What is measured at once, in images of 224x224. */
const MOST_IMAGES = 32
const USUAL_PIXELS = 224 * 224
/** However small images are, no more parts than these are read. */
const MOST_PARTS = 1024
const parseCreate = parser(CreateRequest)

/** A model of weights, or one whose factors were measured with images. */
export interface FormModel extends Partial<LoadedWeights> {
  readonly plan: Plan
  readonly id: string
  readonly measured?: readonly LayerScale[]
}

/**
 * The form that makes a model of more than a specification: `spec`, which a weights file of this service needs not, then
 * `weights`, or `images`. Weights are staged, for the caller to keep or discard; where it throws, nothing is left behind.
 */
export async function readModelForm(
  request: FastifyRequest,
  reply: FastifyReply,
  { store, analysis, decoder, config }: Services,
): Promise<{ name: string | undefined; given: FormModel }> {
  const { MAX_MODEL_PARAMETERS: maxParameters, MAX_BODY_BYTES, MAX_IMAGE_PIXELS: maxPixels } = config
  const limits = {
    fileSize: largestWeights(config),
    parts: MOST_PARTS,
  }
  let name: string | undefined
  let specification: SpecificationRequest | undefined
  let loaded: LoadedWeights | undefined
  let imaged: { readonly plan: Plan; readonly pixels: Uint8Array[] } | undefined
  let total = 0
  try {
    // A field that says it is JSON would come parsed, however deep; the bytes of a file are looked at first.
    const isPartAFile = (): boolean => true
    for await (const part of partsOf(request, { limits, isPartAFile })) {
      const { fieldname } = part
      if (fieldname === 'spec' && !specification && !loaded) {
        ;({ name, ...specification } = parseCreate(await jsonPart(part, MAX_BODY_BYTES)))
        if (name !== undefined) assertName(name)
      } else if (fieldname === 'weights' && part.type === 'file' && !loaded && !imaged) {
        const tooLarge = new ServiceError(
          'BODY_TOO_LARGE',
          'the weights are larger than any network MAX_MODEL_PARAMETERS allows',
        )
        // A small file has come in whole before anyone could listen.
        if (part.file.truncated) throw tooLarge
        part.file.once('limit', () => part.file.destroy(tooLarge))
        const file = Readable.from(passedOn(part.file, request), { objectMode: false })
        loaded = await importWeights(file, specification, { store, analysis, maxParameters })
      } else if (fieldname === 'images' && part.type === 'file' && specification && !loaded) {
        imaged ??= { plan: planForImages(specification, maxParameters), pixels: [] }
        const { plan, pixels } = imaged
        const shape = plan.specification.architecture.input_shape
        assertRoom(pixels.length + 1, shape)
        const bytes = await readPart(part.file, MAX_BODY_BYTES - total)
        total += bytes.length
        const pointer = `#/images/${String(pixels.length)}`
        const options = { shape, fit: 'cover', maxPixels } as const
        const image = await decoder.decode({ file: bytes, pointer, options, signal: hangUp(reply) })
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

/** A file on its way onto the disk, where it holds no room. */
async function* passedOn(file: AsyncIterable<Buffer>, { permit }: FastifyRequest): AsyncGenerator<Buffer> {
  for await (const chunk of file) {
    yield chunk
    permit?.releaseBytes(chunk.length)
  }
}

function planForImages(specification: SpecificationRequest, maxParameters: number): Plan {
  const plan = planRequest(specification, maxParameters)
  if (plan.specification.residual_scheme === 'lsuv') return plan
  throw fieldError(
    '#/images',
    'go with "residual_scheme": "lsuv", which measures with them; nothing else does',
  )
}

function assertRoom(count: number, [height = 1, width = 1]: readonly number[]): void {
  const most = Math.max(1, Math.floor((MOST_IMAGES * USUAL_PIXELS) / (height * width)))
  if (count > most)
    throw fieldError(
      '#/images',
      `must be at most ${String(most)} of ${String(height)}x${String(width)}, since all are measured at once; send fewer`,
    )
}

async function jsonPart(part: Multipart, maxBytes: number): Promise<unknown> {
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
