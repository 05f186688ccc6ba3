import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { isRecord, type Json } from '../../common/canonical-json.ts'
import { parser } from '../../common/validation.ts'
import { planRequest, type Plan } from '../../network/plan.ts'
import { SpecificationRequest } from '../../network/specification.ts'
import { UsageError } from './usage-error.ts'

/** The facts of a model that can be compared; undefined if the record lacks them. */
export interface ModelRecord {
  readonly id: string | undefined
  readonly weights_sha256: string | undefined
  readonly loaded: boolean
  /** The factors that LSUV measured, by kernel. */
  readonly factors: Readonly<Record<string, number>> | undefined
}

interface Given {
  readonly plan: Plan
  /** Undefined if the file is a request. */
  readonly record: ModelRecord | undefined
}

/** The digest is computed in the background after a model's first build. */
const DIGEST_WAIT_MS = 60_000
const POLL_MS = 500

const parseSpecification = parser(SpecificationRequest)

/** Reads a request, or a record with its specification, and plans the network. Throws UsageError or INVALID_REQUEST. */
export async function readGiven(path: string): Promise<Given> {
  const body = parseJson(path, await readText(path))
  const specification = body['spec'] ?? body['specification']
  // A request of POST /v1/models may contain a name for the model.
  const { name: _name, ...request } = body
  const plan = planRequest(parseSpecification(specification ?? request), Number.MAX_SAFE_INTEGER)
  return { plan, record: specification === undefined ? undefined : readRecord(path, body) }
}

/** Reads the record of a running service's model, with its digest. RESINIT_KEY is sent as the key. */
export async function fetchRecord(url: string): Promise<ModelRecord> {
  const end = Date.now() + DIGEST_WAIT_MS
  for (;;) {
    const body = await fetchJson(url)
    if (body['weights_sha256'] !== null || Date.now() > end) return readRecord(url, body)
    await sleep(POLL_MS)
  }
}

/** SHA-256 of each trainable parameter of a running service's model. */
export async function fetchDigests(url: string): Promise<ReadonlyMap<string, string>> {
  const { parameters } = await fetchJson(`${url.replace(/\/+$/, '')}/statistics`)
  const records = (Array.isArray(parameters) ? parameters : []) as {
    readonly name: string
    readonly sample: { readonly sha256: string }
  }[]
  return new Map(records.map(({ name, sample }) => [name, sample.sha256]))
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new UsageError(
      `${path} cannot be read (${(error as Error).message}); give a file with a specification or a record`,
    )
  }
}

async function fetchJson(url: string): Promise<Json> {
  const key = process.env['RESINIT_KEY']
  const headers: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` }
  let answer: Response
  try {
    answer = await fetch(url, { headers })
  } catch (error) {
    const { cause } = error as Error
    const reason = cause instanceof Error ? cause.message : (error as Error).message
    throw new UsageError(
      `${url} does not answer (${reason}); give a model of a running service, http://HOST/v1/models/NAME`,
    )
  }
  const text = await answer.text()
  if (answer.ok) return parseJson(url, text)
  throw new UsageError(
    `${url} answers ${String(answer.status)}: ${text.slice(0, 500)}; give a model of a running service, and its key as RESINIT_KEY if it requires one`,
  )
}

function parseJson(source: string, text: string): Json {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new UsageError(
      `${source} is not JSON (${(error as Error).message}); give a specification or a record`,
    )
  }
  if (isRecord(value)) return value
  throw new UsageError(`${source} is not a JSON object; give a specification or a record`)
}

function readRecord(source: string, { id, weights_sha256, weights, scheme }: Json): ModelRecord {
  if (weights_sha256 === null)
    throw new UsageError(
      `${source} has no weights_sha256 yet; it follows seconds after the first build, so try again`,
    )
  const measured: unknown = isRecord(scheme) ? scheme['measured'] : undefined
  const factors = Array.isArray(measured)
    ? Object.fromEntries(
        (measured as Json[]).map(({ kernel, factor }) => [String(kernel), Number(factor)] as const),
      )
    : undefined
  return {
    id: typeof id === 'string' ? id : undefined,
    weights_sha256: typeof weights_sha256 === 'string' ? weights_sha256 : undefined,
    loaded: weights === 'loaded',
    factors,
  }
}
