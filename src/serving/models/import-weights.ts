import Type, { type Static } from 'typebox'
import type { Analysis } from '../../analysis/contract.ts'
import { fieldError, shownName } from '../../common/errors.ts'
import { jsonProblem } from '../../common/json-limits.ts'
import { readJson } from '../../common/json-parts.ts'
import { parser } from '../../common/validation.ts'
import type { WeightsPart } from '../../formats/weights-file.ts'
import { identify } from '../../network/identity.ts'
import { inferSpecification } from '../../network/infer-specification.ts'
import { matchWeights, type LoadOptions, type WeightsMatch } from '../../network/match-weights.ts'
import { readModelConfig } from '../../network/model-configs.ts'
import { planRequest, type Plan } from '../../network/plan.ts'
import { specificationFields, SpecificationRequest } from '../../network/specification.ts'
import type { WeightsDescription, WeightsReader } from '../../weights/contract.ts'
import type { LoadedFrom } from './records.ts'
import type { StagedWeights, Store } from './store.ts'

/** Keys of a weights file's `__metadata__`. */
export const METADATA = {
  specification: 'resinit.spec',
  id: 'resinit.id',
  weights: 'resinit.weights_sha256',
} as const

/** A specification whose missing fields follow from weights files. */
export const PartialSpecification = Type.Partial(Type.Object(specificationFields), {
  additionalProperties: false,
})
export type PartialSpecification = Static<typeof PartialSpecification>

/** Weights files on disk, and what describes them. */
export interface WeightsImport {
  readonly parts: readonly WeightsPart[]
  /** With an architecture it is complete; otherwise it changes what the files say. */
  readonly specification?: PartialSpecification | undefined
  /** `config.json` and `preprocessor_config.json` of timm or transformers. */
  readonly config?: unknown
  readonly preprocessorConfig?: unknown
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
const parseSpecification = parser(SpecificationRequest)

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

/**
 * The specification of an upload. A file of this service contains it; for others it is inferred from names and shapes.
 * The configuration changes that, and the given specification changes both.
 */
async function chooseSpecification(
  { specification = {}, config, preprocessorConfig }: WeightsImport,
  { tensors, metadata }: WeightsDescription,
  prefix: string,
): Promise<SpecificationRequest> {
  const { architecture } = specification
  const configured =
    config === undefined && preprocessorConfig === undefined
      ? {}
      : readModelConfig(config, preprocessorConfig)
  if (architecture !== undefined) return { ...configured, ...specification, architecture }
  const text = metadata[METADATA.specification]
  const base = text === undefined ? inferSpecification(tensors, prefix) : await parseSpecificationText(text)
  return {
    ...base,
    ...configured,
    ...specification,
    architecture: configured.architecture ?? base.architecture,
  }
}

async function parseSpecificationText(text: string): Promise<SpecificationRequest> {
  const pointer = `#/weights/__metadata__/${METADATA.specification}`
  let given: unknown
  try {
    given = await readJson(Buffer.from(text))
  } catch (error) {
    throw fieldError(pointer, jsonProblem(error), 'INVALID_WEIGHTS')
  }
  return parseSpecification(given, pointer)
}
