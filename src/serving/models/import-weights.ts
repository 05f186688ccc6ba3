import { Readable } from 'node:stream'
import type { Analysis } from '../../analysis/contract.ts'
import { fieldError, fieldErrors } from '../../common/errors.ts'
import {
  compareTensors,
  openSafetensors,
  safetensorsHeader,
  type SafetensorsFile,
} from '../../formats/safetensors.ts'
import { inverse } from '../../formats/transpose.ts'
import { jsonProblem } from '../../common/json-limits.ts'
import { readJson } from '../../common/json-parts.ts'
import { identify } from '../../network/identity.ts'
import { detectLayout, layoutProblem, tensorsIn, type FileTensor } from '../../network/layouts.ts'
import { planRequest, type Plan } from '../../network/plan.ts'
import { SpecificationRequest } from '../../network/specification.ts'
import { parser } from '../../common/validation.ts'
import type { StagedWeights, Store } from './store.ts'
import { tensorStream } from './weights-stream.ts'

/** Keys of a weights file's `__metadata__`. */
export const METADATA = {
  specification: 'resinit.spec',
  id: 'resinit.id',
  weights: 'resinit.weights_sha256',
} as const

export interface LoadedWeights {
  readonly plan: Plan
  /** The id of the specification with these weights. */
  readonly id: string
  readonly weights: StagedWeights
  /** The digest of all tensors. */
  readonly digest: string
}

const parseSpecification = parser(SpecificationRequest)

/**
 * Imports an uploaded safetensors file in any known layout: stages it on disk, checks every tensor against the network,
 * converts it to this service's layout and computes the id. Without a request the file's metadata has the specification.
 * The caller keeps or discards the weights.
 */
export async function importWeights(
  source: Readable,
  request: SpecificationRequest | undefined,
  {
    store,
    analysis,
    maxParameters,
  }: { readonly store: Store; readonly analysis: Analysis; readonly maxParameters: number },
): Promise<LoadedWeights> {
  let weights = await store.createTemp(source)
  try {
    const file = await openSafetensors(weights.path)
    try {
      const plan = planRequest(request ?? (await parseSpecificationText(file.metadata)), maxParameters)
      const { specification } = plan
      const layout = detectLayout([...file.tensors.keys()])
      const problem = layoutProblem(layout, plan)
      if (problem !== undefined) throw fieldError('#/weights', problem, 'INVALID_WEIGHTS')
      const tensors = tensorsIn(layout, plan)
      const errors = compareTensors(file, tensors)
      if (errors.length > 0) throw fieldErrors(errors, 'INVALID_WEIGHTS')
      if (layout !== 'resinit') {
        const upload = weights
        weights = await store.createTemp(
          Readable.from(convertLayout(file, plan, tensors), { objectMode: false }),
        )
        await upload.discard()
      }
      const digest = await analysis.digest({ specification, weightsFile: weights.path }, { buffers: true })
      return { plan, id: identify(plan, digest), weights, digest }
    } finally {
      await file.close()
    }
  } catch (error) {
    await weights.discard()
    throw error
  }
}

/** Converts weights to this service's names, axes and order. */
async function* convertLayout(
  file: SafetensorsFile,
  { parameters }: Plan,
  tensors: readonly FileTensor[],
): AsyncGenerator<Buffer> {
  const tensorsByParameter = new Map(
    tensors.flatMap((tensor) => (tensor.dtype === 'F32' ? [[tensor.parameter, tensor]] : [])),
  )
  yield safetensorsHeader(parameters, {})
  const streamed = parameters.flatMap((parameter) => {
    const tensor = tensorsByParameter.get(parameter)
    return tensor ? [{ source: tensor.name, shape: tensor.shape, axes: inverse(tensor.axes) }] : []
  })
  yield* tensorStream(streamed, (...part) => file.read(...part))
}

async function parseSpecificationText(
  metadata: Readonly<Record<string, string>>,
): Promise<SpecificationRequest> {
  const text = metadata[METADATA.specification]
  if (text === undefined) {
    throw fieldError(
      '#/spec',
      'is required: send a part "spec" before "weights", or a file that this service wrote',
      'INVALID_WEIGHTS',
    )
  }
  let given: unknown
  try {
    given = await readJson(Buffer.from(text))
  } catch (error) {
    const pointer = `#/weights/__metadata__/${METADATA.specification}`
    throw fieldError(pointer, jsonProblem(error), 'INVALID_WEIGHTS')
  }
  return parseSpecification(given, `#/weights/__metadata__/${METADATA.specification}`)
}
