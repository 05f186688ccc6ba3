import Type, { type Static } from 'typebox'
import { fieldError } from '../../common/errors.ts'
import { jsonProblem } from '../../common/json-limits.ts'
import { readJson } from '../../common/json-parts.ts'
import { parser } from '../../common/validation.ts'
import { inferSpecification } from '../../network/infer-specification.ts'
import { readModelConfig } from '../../network/model-configs.ts'
import {
  specificationFields,
  SpecificationRequest,
  type ArchitectureRequest,
} from '../../network/specification.ts'
import type { WeightsDescription } from '../../weights/contract.ts'

/** The key of a specification in a file's `__metadata__`. */
export const SPECIFICATION_KEY = 'resinit.spec'

/** A specification whose missing fields follow from weights files. */
export const PartialSpecification = Type.Partial(Type.Object(specificationFields), {
  additionalProperties: false,
})
export type PartialSpecification = Static<typeof PartialSpecification>

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
  const given = merge(configured, specification)
  const { architecture } = given
  if (architecture !== undefined && isComplete(architecture)) return { ...given, architecture }
  const text = metadata[SPECIFICATION_KEY]
  const base = text === undefined ? inferSpecification(tensors, prefix) : await parseSpecificationText(text)
  const merged = merge(base, given)
  return { ...merged, architecture: merged.architecture ?? base.architecture }
}

type Architecture = string | ArchitectureRequest | undefined

/** True if an architecture needs no other one. */
function isComplete(architecture: NonNullable<Architecture>): boolean {
  if (typeof architecture === 'string') return true
  return architecture.preset !== undefined || architecture.stages !== undefined
}

/** Changes fields of a specification. A new number of classes replaces what depends on the old one. */
function merge(base: PartialSpecification, changes: PartialSpecification): PartialSpecification {
  const { labels, ...others } = base
  const keepsClasses = changes.classes === undefined || changes.classes === base.classes
  const architecture = mergeArchitectures(base.architecture, changes.architecture)
  return {
    ...others,
    ...(labels !== undefined && keepsClasses && { labels }),
    ...changes,
    ...(architecture !== undefined && {
      architecture: keepsClasses ? architecture : withoutUnits(architecture),
    }),
  }
}

function mergeArchitectures(base: Architecture, changes: Architecture): Architecture {
  if (changes === undefined) return base
  if (base === undefined || typeof changes === 'string' || isComplete(changes)) return changes
  return { ...(typeof base === 'string' ? { preset: base } : base), ...changes }
}

/** Without the size of the head, which equals the number of classes. */
function withoutUnits(architecture: NonNullable<Architecture>): NonNullable<Architecture> {
  if (typeof architecture !== 'object' || architecture.head === undefined) return architecture
  const { pool } = architecture.head
  return { ...architecture, head: pool === undefined ? {} : { pool } }
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
