import { join } from 'node:path'
import Type from 'typebox'
import { readFactors, LayerScale } from '../../analysis/contract.ts'
import { identify } from '../../network/identity.ts'
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
})

/** What is found out about a model after it is there. Whoever finds it first says it for all. */
export interface Facts {
  readonly seal: string | null
  readonly weights_sha256: string | null
  /** What LSUV measured, once: every build multiplies by the same factors. */
  readonly measured?: readonly LayerScale[]
}

/** What is kept of a model: all it takes to build it again and to know that it is the same. */
export interface StoredModel extends Facts {
  readonly id: string
  readonly specification: Specification
  readonly weights: 'initialized' | 'loaded'
  readonly created_at: string
  /** Over all tensors of loaded weights, buffers too: with the specification it makes the id. Absent in older records. */
  readonly tensors_sha256?: string
}

/** A record and what follows from it. */
export interface ReadModel {
  readonly record: StoredModel
  readonly plan: Plan
}

const RECORD = 'model.json'
/** Far more than a specification of MAX_BODY_BYTES, as it is unless it is raised, becomes with every field said. */
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
 * The model of a folder; undefined where there is no record. UnusableFile where a file of it is not what this service
 * writes, or its fields are not those of its id: nothing else is served under an id than what made it.
 */
export async function readModel(folder: string, id: string): Promise<ReadModel | undefined> {
  const text = await readText(recordFile(folder), MAX_RECORD_BYTES)
  if (text === undefined) return undefined
  const { specification, ...own } = checkedAs(RECORD, () => parseRecord(JSON.parse(text)))
  if (own.id !== id) throw new UnusableFile(`${RECORD} is the record of another model`)
  // As it would be created again, so that fields that came later are filled in.
  const plan = checkedAs(RECORD, () =>
    planRequest(parseSpecification(specification, '#/specification'), Number.MAX_SAFE_INTEGER),
  )
  const record = { ...own, specification: plan.specification }
  if (!makesId(record, plan)) throw new UnusableFile(`the fields of ${RECORD} are not those of its id`)
  return { record: withFacts(record, await readFacts(folder)), plan }
}

/** A record with what is known by now; factors that it has itself may be part of its id. */
export function withFacts(record: StoredModel, facts: Partial<Facts>): StoredModel {
  return { ...record, ...facts, ...(record.measured && { measured: record.measured }) }
}

/** Those facts that are kept by now. */
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
  return checkedAs(`${fact}.json`, () => parseFact[fact](JSON.parse(text))) as Facts[F]
}

/** Whether a record's own fields make its id. Of an older record of loaded weights only their file can tell. */
function makesId({ id, weights, measured, tensors_sha256 }: StoredModel, plan: Plan): boolean {
  if (weights === 'loaded') return tensors_sha256 === undefined || identify(plan, tensors_sha256) === id
  return (
    identify(plan) === id ||
    (measured !== undefined && identify(plan, undefined, readFactors(measured)) === id)
  )
}

function checkedAs<S>(file: string, check: () => S): S {
  try {
    return check()
  } catch (error) {
    const reason = error instanceof SyntaxError ? 'it is not JSON' : (error as Error).message
    throw new UnusableFile(`${file} cannot be used: ${reason}`, { cause: error })
  }
}
