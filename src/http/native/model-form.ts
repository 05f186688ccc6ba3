import type { Multipart, MultipartFile } from '@fastify/multipart'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { readFactors, type Analysis, type LayerScale } from '../../analysis/contract.ts'
import { fieldError, pointerTo } from '../../common/errors.ts'
import type { Config } from '../../config.ts'
import type { ImageDecoder } from '../../images/client/image-decoder.ts'
import { identify } from '../../network/identity.ts'
import type { Plan } from '../../network/plan.ts'
import { importWeights, type LoadedWeights } from '../../serving/models/import-weights.ts'
import type { StagedWeights, Store } from '../../serving/models/store.ts'
import type { WeightsReader } from '../../weights/reader-contract.ts'
import { abortOnClose } from '../shared/client-abort.ts'
import { maxWeightsBytes, readParts } from '../shared/forms.ts'
import { streamToDisk, type DiskBudget } from '../shared/stream-to-disk.ts'
import { FormFields } from './model-form-fields.ts'
import { FormImages } from './model-form-images.ts'

const ORDER =
  'send "spec", "config", "preprocessor_config" and "load" (JSON) once each, in any order, then "weights" (one or more files), or "images" for "residual_scheme": "lsuv"'
/** The most parts of a form; only small images reach it. */
const MAX_PARTS = 1024
/** The most files of sharded weights. */
const MAX_FILES = 256

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
  readonly weightsReader: WeightsReader
  readonly config: Pick<Config, 'MAX_MODEL_PARAMETERS' | 'MAX_BODY_BYTES' | 'MAX_IMAGE_PIXELS'>
}

/** A file of the form on disk, with the name that the client gave. */
interface StagedFile {
  readonly name: string
  readonly staged: StagedWeights
}

/**
 * Reads the form of a model: JSON fields, then `weights` or `images`. The caller keeps or discards the staged weights.
 * After an error nothing stays on disk.
 */
export async function readModelForm(
  request: FastifyRequest,
  reply: FastifyReply,
  { store, analysis, decoder, weightsReader, config }: Context,
): Promise<{ name: string | undefined; given: FormModel }> {
  const maxParameters = config.MAX_MODEL_PARAMETERS
  const budget: DiskBudget = { remaining: maxWeightsBytes(config) }
  const limits = { fileSize: budget.remaining + 1, parts: MAX_PARTS }
  const signal = abortOnClose(reply)
  const fields = new FormFields(config.MAX_BODY_BYTES)
  const files: StagedFile[] = []
  let images: FormImages | undefined
  try {
    // The plugin parses JSON fields without a depth limit, so every part is read as a file.
    const isPartAFile = (): boolean => true
    for await (const part of readParts(request, { limits, isPartAFile })) {
      assertFile(part)
      const { fieldname, file, filename } = part
      const isLate = files.length > 0 || images !== undefined
      if (fieldname === 'weights' && !images) {
        assertFileName(filename, files)
        files.push({ name: filename, staged: await store.createTemp(streamToDisk(file, budget, request)) })
      } else if (fieldname === 'images' && files.length === 0 && fields.hasSpecification) {
        images ??= new FormImages(fields.complete(), config)
        await images.add(file, decoder, signal)
      } else if (isLate || !(await fields.read(part))) {
        const known = FormFields.has(fieldname) || ['weights', 'images'].includes(fieldname)
        throw fieldError(
          pointerTo('#', fieldname),
          `${known ? 'comes too late or twice' : 'is not a part of this form'}; ${ORDER}`,
        )
      }
    }
    const { name } = fields
    if (files.length === 0) fields.assertNoneNeedsWeights()
    if (images) {
      const { plan, pixels } = images
      const measured = await analysis.unitVariance(plan.specification, pixels, { signal })
      return { name, given: { plan, id: identify(plan, undefined, readFactors(measured)), measured } }
    }
    if (files.length === 0) throw fieldError('#/weights', `is required; ${ORDER}`)
    const parts = files.map(({ name: part, staged }) => ({ name: part, path: staged.path }))
    const context = { store, analysis, weightsReader, maxParameters, signal }
    return { name, given: await importWeights({ ...fields.weights, parts }, context) }
  } finally {
    await Promise.all(files.map(({ staged }) => staged.discard()))
  }
}

function assertFile(part: Multipart): asserts part is MultipartFile {
  if (part.type === 'field') throw new TypeError('every part of this form is read as a file')
}

/** An index refers to its files by name. */
function assertFileName(name: string, files: readonly StagedFile[]): void {
  if (files.length >= MAX_FILES)
    throw fieldError('#/weights', `must be at most ${String(MAX_FILES)} files; join some`)
  if (files.some((file) => file.name === name))
    throw fieldError(
      '#/weights',
      `needs a file name of its own for each file: ${JSON.stringify(name)} is sent twice; send one file, or all files of an index`,
    )
}
