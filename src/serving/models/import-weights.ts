import type { Analysis } from '../../analysis/contract.ts'
import { shownName } from '../../common/errors.ts'
import type { WeightsPart } from '../../formats/weights-file.ts'
import { identify } from '../../network/identity.ts'
import { matchWeights, type LoadOptions, type WeightsMatch } from '../../network/match-weights.ts'
import { planRequest, type Plan } from '../../network/plan.ts'
import type { WeightsDescription, WeightsReader } from '../../weights/reader-contract.ts'
import type { LoadedFrom } from './records.ts'
import type { StagedWeights, Store } from './store.ts'
import { chooseSpecification, SPECIFICATION_KEY, type WeightsConfiguration } from './weights-specification.ts'

/** Keys of a weights file's `__metadata__`. */
export const METADATA = {
  specification: SPECIFICATION_KEY,
  id: 'resinit.id',
  weights: 'resinit.weights_sha256',
} as const

/** Weights files on disk, and what a client says about them. */
export interface WeightsImport extends WeightsConfiguration {
  readonly parts: readonly WeightsPart[]
  readonly load?: Partial<LoadOptions> | undefined
}

export interface LoadedWeights {
  readonly plan: Plan
  /** The id of the specification with these weights. */
  readonly id: string
  readonly weights: StagedWeights
  /** The digest of all tensors. */
  readonly digest: string
  readonly loaded: LoadedFrom
}

export interface ImportContext {
  readonly store: Store
  readonly analysis: Analysis
  readonly weightsReader: WeightsReader
  readonly maxParameters: number
  /** Aborts the import when its result is no longer needed. */
  readonly signal?: AbortSignal | undefined
}

const DEFAULTS: LoadOptions = { missing: 'error', extra: 'error', prefix: 'auto' }
/** Names of ignored tensors in a record; a checkpoint may have thousands. */
const MAX_IGNORED = 1000

/**
 * Imports weights files of any format: resolves the specification, checks every tensor against the network, converts
 * them to this service's layout, draws the missing ones and computes the id. The caller keeps or discards the result;
 * the files stay.
 */
export async function importWeights(
  given: WeightsImport,
  { store, analysis, weightsReader, maxParameters, signal }: ImportContext,
): Promise<LoadedWeights> {
  const control = signal === undefined ? {} : { signal }
  const description = await weightsReader.describe(given.parts, control)
  const load = { ...DEFAULTS, ...given.load }
  const plan = planRequest(await chooseSpecification(given, description, load.prefix), maxParameters)
  const match = matchWeights(description.tensors, plan, load)
  const weights = await store.stageFile()
  try {
    const tensors = match.tensors.map(({ parameter: { name, shape }, source, axes }) => ({
      ...{ name, shape },
      source: source === undefined ? undefined : { name: source, axes },
    }))
    await weightsReader.convert(given.parts, tensors, weights.path, control)
    const { specification } = plan
    if (match.initialized.length > 0)
      await analysis.fillWeights({ specification }, match.initialized, weights.path, control)
    const digest = await analysis.digest(
      { specification, weightsFile: weights.path },
      { buffers: true },
      control,
    )
    return { plan, id: identify(plan, digest), weights, digest, loaded: describeLoad(description, match) }
  } catch (error) {
    await weights.discard()
    throw error
  }
}

function describeLoad(
  { format }: WeightsDescription,
  { names, prefix, dtypes, initialized, ignored }: WeightsMatch,
): LoadedFrom {
  return {
    ...{ format, names, prefix: shownName(prefix), dtypes: [...dtypes], initialized: [...initialized] },
    ignored: ignored.slice(0, MAX_IGNORED).map(shownName),
  }
}
