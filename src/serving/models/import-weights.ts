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
  /** Of the specification with these very weights. */
  readonly id: string
  readonly weights: StagedWeights
  /** Over all their tensors. */
  readonly digest: string
}

const parseSpecification = parser(SpecificationRequest)

/**
 * Takes in an uploaded safetensors file under anybody's names: staged on disk, checked against the network tensor by
 * tensor, put into this service's own layout, identified. Without a request the file's own metadata says what network
 * it is. Whoever called keeps or discards the weights.
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
        const foreign = weights
        weights = await store.createTemp(
          Readable.from(inOwnLayout(file, plan, tensors), { objectMode: false }),
        )
        await foreign.discard()
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

/** The same weights under this service's names and axes, in its order. */
async function* inOwnLayout(
  file: SafetensorsFile,
  { parameters }: Plan,
  tensors: readonly FileTensor[],
): AsyncGenerator<Buffer> {
  const holding = new Map(
    tensors.flatMap((tensor) => (tensor.dtype === 'F32' ? [[tensor.parameter, tensor]] : [])),
  )
  yield safetensorsHeader(parameters, {})
  const streamed = parameters.flatMap((parameter) => {
    const tensor = holding.get(parameter)
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
      'is required: send a part "spec" before "weights", or a file written by this service',
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
