import Type from 'typebox'
import { fieldError } from '../../common/errors.ts'
import { jsonProblem } from '../../common/json-limits.ts'
import { readJson } from '../../common/json-parts.ts'
import { parser } from '../../common/validation.ts'
import { inferSpecification } from '../../network/infer-specification.ts'
import { mergeSpecifications, type PartialSpecification } from '../../network/merge-specifications.ts'
import { readModelConfig } from '../../network/model-configs.ts'
import { specificationFields, SpecificationRequest } from '../../network/specification.ts'
import type { WeightsDescription } from '../../weights/reader-contract.ts'

/** The key of a specification in a file's `__metadata__`. */
export const SPECIFICATION_KEY = 'resinit.spec'

/** A specification whose missing fields follow from weights files. */
export const WeightsSpecification = Type.Partial(Type.Object(specificationFields), {
  additionalProperties: false,
})

/** What a client says about weights. */
export interface WeightsConfiguration {
  readonly specification?: PartialSpecification | undefined
  /** `config.json` and `preprocessor_config.json` of timm or transformers. */
  readonly config?: unknown
  readonly preprocessorConfig?: unknown
}

const parseSpecification = parser(SpecificationRequest)

/**
 * The specification of weights. A file of this service contains it; for others it is inferred from names and shapes,
 * unless the client names or describes an architecture. The configuration changes it, and the client's fields change
 * both. Throws INVALID_WEIGHTS or INVALID_REQUEST.
 */
export async function chooseSpecification(
  { specification = {}, config, preprocessorConfig }: WeightsConfiguration,
  { tensors, metadata }: Pick<WeightsDescription, 'tensors' | 'metadata'>,
  prefix: string,
): Promise<SpecificationRequest> {
  const isConfigured = config !== undefined || preprocessorConfig !== undefined
  const configured: PartialSpecification = isConfigured ? readModelConfig(config, preprocessorConfig) : {}
  const { architecture } = mergeSpecifications({}, configured, specification)
  const isComplete = architecture !== undefined && standsAlone(architecture)
  const base = isComplete ? {} : await readBase(tensors, metadata, prefix)
  return withArchitecture(mergeSpecifications(base, configured, specification), base)
}

async function readBase(
  tensors: WeightsDescription['tensors'],
  metadata: WeightsDescription['metadata'],
  prefix: string,
): Promise<SpecificationRequest> {
  const text = metadata[SPECIFICATION_KEY]
  return text === undefined ? inferSpecification(tensors, prefix) : parseSpecificationText(text)
}

/** True if an architecture needs no other one. */
function standsAlone(architecture: SpecificationRequest['architecture']): boolean {
  if (typeof architecture === 'string') return true
  return architecture.preset !== undefined || architecture.stages !== undefined
}

/** A new number of classes replaces the size of the head that a file of this service states. */
function withArchitecture(merged: PartialSpecification, base: PartialSpecification): SpecificationRequest {
  const { architecture } = merged
  if (architecture === undefined) throw new TypeError('neither a file nor a client gives an architecture')
  if (typeof architecture === 'string' || architecture.head === undefined || merged.classes === base.classes)
    return { ...merged, architecture }
  const { units, ...head } = architecture.head
  const isOfBase = typeof base.architecture === 'object' && base.architecture.head?.units === units
  return { ...merged, architecture: isOfBase ? { ...architecture, head } : architecture }
}

async function parseSpecificationText(text: string): Promise<SpecificationRequest> {
  const pointer = `#/weights/__metadata__/${SPECIFICATION_KEY}`
  let given: unknown
  try {
    given = await readJson(Buffer.from(text))
  } catch (error) {
    throw fieldError(pointer, jsonProblem(error), 'INVALID_WEIGHTS')
  }
  return parseSpecification(given, pointer)
}
