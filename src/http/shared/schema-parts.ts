import Type from 'typebox'
import { closed, named, nullable } from '../../common/schema.ts'

export const optional = Type.Optional

export const NPY = 'application/x-npy'
export const EVENTS = 'text/event-stream'
export const SAFETENSORS = 'application/vnd.safetensors'
export const HDF5 = 'application/x-hdf5'

const Problem = named('Problem', {
  type: Type.String({ description: 'urn:resinit:problem:<code>' }),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.String(),
  code: Type.String({ description: 'Stable; clients may rely on it' }),
  error: Type.String({ description: 'The detail again, for TensorFlow Serving clients' }),
  errors: optional(Type.Array(Type.Object({ pointer: Type.String(), detail: Type.String() }))),
})
const problem = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: Problem } },
})

/** What any route may answer beside its own success. */
export const problems = {
  '4xx': problem('What is wrong with the request, and the cure'),
  '5xx': problem('The service could not'),
}

const ProtocolError = named('ProtocolError', { error: Type.String() })
const foreignError = (description: string) => ({
  description,
  content: { 'application/json': { schema: ProtocolError } },
})

/** The same, of the protocols of others. */
export const foreignErrors = {
  '4xx': foreignError('What is wrong with the request, and the cure'),
  '5xx': foreignError('The service could not'),
}

/** What a route answers to keys that are not for it. */
export const refusals = (scope: string, isForeign: boolean) => {
  const refusal = isForeign ? foreignError : problem
  return {
    401: refusal('No key, or one that is wrong or has expired'),
    403: refusal(`A key without the scope ${scope}; without keys, a page of another site`),
  }
}

export const Page = closed({
  limit: optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })),
  cursor: optional(Type.String({ pattern: '^[0-9]{1,15}$', description: 'next_cursor of the page before' })),
})

export const NextCursor = nullable(Type.String())

/** Content that is not JSON: its route reads and checks it. In these words generators know a file. */
export const Bytes = (description?: string) =>
  Type.Unsafe<unknown>({
    ...{ type: 'string', format: 'binary' },
    ...(description === undefined ? {} : { description }),
  })
/** An answer in one of several binary formats. */
export const Content = (description: string, types: readonly string[]) => ({
  description,
  content: Object.fromEntries(types.map((type) => [type, { schema: Bytes() }])),
})
/** An answer without a body. */
export const Nothing = (description: string) => Type.Unsafe<unknown>({ type: 'null', description })

/** JSON for answers: numbers JSON cannot carry become words. */
export function toJson(value: unknown): string {
  // To look first is cheaper than to be asked for every field.
  if (hasFiniteNumbers(value)) return JSON.stringify(value)
  return JSON.stringify(value, (_, field: unknown) =>
    typeof field === 'number' && !Number.isFinite(field) ? String(field) : field,
  )
}

/** Whether every number in a value is finite. */
function hasFiniteNumbers(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value !== 'object' || value === null) return true
  for (const field of Array.isArray(value) ? (value as unknown[]) : Object.values(value))
    if (!hasFiniteNumbers(field)) return false
  return true
}
