import { join } from 'node:path'
import Type, { type Static } from 'typebox'
import { readFactors, LayerScale } from '../../analysis/contract.ts'
import { weightsFormats } from '../../formats/weights-file.ts'
import { identify } from '../../network/identity.ts'
import { layouts } from '../../network/layouts.ts'
import { planRequest, type Plan } from '../../network/plan.ts'
import { SpecificationRequest, type Specification } from '../../network/specification.ts'
import { nullable } from '../../common/schema.ts'
import { parser } from '../../common/validation.ts'
import { readText } from './files.ts'
import { UnusableFile } from '../../common/storage-errors.ts'

const Digest = Type.String({ pattern: '^[0-9a-f]{64}$', description: '64 hexadecimal digits' })
const FactSchemas = {
  seal: Digest,
  weights_sha256: Digest,
  measured: Type.Array(LayerScale),
}

/** The origin of loaded weights. */
export const LoadedFrom = Type.Object({
  format: Type.Enum(weightsFormats, { description: 'Format of the file, detected from its first bytes' }),
  names: Type.Enum(layouts, { description: 'Whose names the tensors had' }),
  prefix: Type.String({ description: 'Prefix that was removed from all names' }),
  dtypes: Type.Array(Type.String(), { description: 'Types of the loaded tensors; all are float32 now' }),
  initialized: Type.Array(Type.String(), {
    description: "Parameters that the file lacks and that the specification's initializers drew",
  }),
  ignored: Type.Array(Type.String(), { description: 'Tensors of the file without a use; at most 1000' }),
})
export type LoadedFrom = Static<typeof LoadedFrom>

const Record = Type.Object({
  id: Digest,
  specification: Type.Unknown(),
  weights: Type.Enum(['initialized', 'loaded']),
  created_at: Type.String({
    pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}',
    examples: ['2026-01-31T12:00:00.000Z'],
  }),
  seal: nullable(Digest),
  weights_sha256: nullable(Digest),
  measured: Type.Optional(FactSchemas.measured),
  tensors_sha256: Type.Optional(Digest),
  loaded: Type.Optional(LoadedFrom),
})

/** The facts that are computed after a model's creation. First writer wins; the others adopt the stored value. */
export interface Facts {
  readonly seal: string | null
  readonly weights_sha256: string | null
  /** The factors that LSUV measured once. Every build multiplies by them. */
  readonly measured?: readonly LayerScale[]
}

/** The record of a model: everything needed to build it again and to verify that it is the same. */
export interface StoredModel extends Facts {
  readonly id: string
  readonly specification: Specification
  readonly weights: 'initialized' | 'loaded'
  readonly created_at: string
  /** The digest of all tensors of loaded weights, including buffers. The id depends on it and on the specification. Absent in older records. */
  readonly tensors_sha256?: string
  /** The origin of loaded weights, of the first upload. Absent in older records. */
  readonly loaded?: LoadedFrom
}

/** The properties of a new model's weights that its specification does not determine. */
export interface MeasuredWeights {
  /** The digest of all tensors of uploaded weights. */
  readonly digest?: string
  /** The origin of uploaded weights. */
  readonly loaded?: LoadedFrom
  /** Factors that were measured on the client's images. */
  readonly measured?: readonly LayerScale[]
}

/** A record and the plan of its specification. */
export interface ReadModel {
  readonly record: StoredModel
  readonly plan: Plan
}

export function createRecord(
  id: string,
  plan: Plan,
  { hasWeights, digest, loaded, measured }: MeasuredWeights & { readonly hasWeights: boolean },
): StoredModel {
  return {
    id,
    specification: plan.specification,
    weights: hasWeights ? 'loaded' : 'initialized',
    created_at: new Date().toISOString(),
    seal: null,
    weights_sha256: null,
    ...(digest !== undefined && { tensors_sha256: digest }),
    ...(loaded && { loaded }),
    ...(measured && { measured }),
  }
}

const RECORD = 'model.json'
/** Far larger than a specification of the default MAX_BODY_BYTES with every default written out. */
export const MAX_RECORD_BYTES = 2 ** 28
const FACTS = ['seal', 'weights_sha256', 'measured'] as const
const parseRecord = parser(Record)
const parseSpecification = parser(SpecificationRequest)
const parseFact = {
  seal: parser(Digest),
  weights_sha256: parser(Digest),
  measured: parser(FactSchemas.measured),
}

export function recordFile(folder: string): string {
  return join(folder, RECORD)
}

export function factFile(folder: string, fact: keyof Facts): string {
  return join(folder, `${fact}.json`)
}

/**
 * Reads the model of a folder; undefined if there is no record. Throws UnusableFile if a file is not in the format of this
 * service, or if the record's fields do not result in its id.
 */
export async function readModel(folder: string, id: string): Promise<ReadModel | undefined> {
  const text = await readText(recordFile(folder), MAX_RECORD_BYTES)
  if (text === undefined) return undefined
  const { specification, ...own } = parseFile(RECORD, () => parseRecord(JSON.parse(text)))
  if (own.id !== id) throw new UnusableFile(`${RECORD} is the record of another model`)
  // Planned like a new request, which adds the defaults of fields that are newer than the record.
  const plan = parseFile(RECORD, () =>
    planRequest(parseSpecification(specification, '#/specification'), Number.MAX_SAFE_INTEGER),
  )
  const record = { ...own, specification: plan.specification }
  if (!resultsInId(record, plan)) throw new UnusableFile(`the fields of ${RECORD} do not result in its id`)
  return { record: withFacts(record, await readFacts(folder)), plan }
}

/** Adds facts to a record. Factors in the record itself take precedence, since the id may depend on them. */
export function withFacts(record: StoredModel, facts: Partial<Facts>): StoredModel {
  return { ...record, ...facts, ...(record.measured && { measured: record.measured }) }
}

/** Reads the facts that are stored so far. */
export async function readFacts(folder: string): Promise<Partial<Facts>> {
  const facts = await Promise.all(FACTS.map(async (fact) => [fact, await readFact(folder, fact)] as const))
  return Object.fromEntries(facts.filter(([, value]) => value !== undefined))
}

export async function readFact<F extends keyof Facts>(
  folder: string,
  fact: F,
): Promise<Facts[F] | undefined> {
  const text = await readText(factFile(folder, fact), MAX_RECORD_BYTES)
  if (text === undefined) return undefined
  return parseFile(`${fact}.json`, () => parseFact[fact](JSON.parse(text))) as Facts[F]
}

/** True if the record's fields result in its id. For older records of loaded weights only the weights file can show that. */
function resultsInId({ id, weights, measured, tensors_sha256 }: StoredModel, plan: Plan): boolean {
  if (weights === 'loaded') return tensors_sha256 === undefined || identify(plan, tensors_sha256) === id
  return (
    identify(plan) === id ||
    (measured !== undefined && identify(plan, undefined, readFactors(measured)) === id)
  )
}

function parseFile<S>(file: string, check: () => S): S {
  try {
    return check()
  } catch (error) {
    const reason = error instanceof SyntaxError ? 'it is not JSON' : (error as Error).message
    throw new UnusableFile(`${file} cannot be used: ${reason}`, { cause: error })
  }
}
