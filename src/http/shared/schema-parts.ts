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
  code: Type.String({ description: 'Stable identifier of the error' }),
  error: Type.String({ description: 'Same as detail, for TensorFlow Serving clients' }),
  errors: optional(Type.Array(Type.Object({ pointer: Type.String(), detail: Type.String() }))),
})
const problem = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: Problem } },
})

/** Error responses of every route. */
export const problems = {
  '4xx': problem('Client error, with its cause and cure'),
  '5xx': problem('Server error'),
}

const ProtocolError = named('ProtocolError', { error: Type.String() })
const protocolError = (description: string) => ({
  description,
  content: { 'application/json': { schema: ProtocolError } },
})

/** Error responses of the other protocols. */
export const protocolErrors = {
  '4xx': protocolError('Client error, with its cause and cure'),
  '5xx': protocolError('Server error'),
}

/** Responses of a route to requests without a valid key or scope. */
export const keyErrors = (scope: string, isProtocol: boolean) => {
  const describe = isProtocol ? protocolError : problem
  return {
    401: describe('No key, or an invalid or expired one'),
    403: describe(`The key lacks the scope ${scope}; in a service without keys, a page of another site`),
  }
}

export const Page = closed({
  limit: optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })),
  cursor: optional(
    Type.String({ pattern: '^[0-9]{1,15}$', description: 'next_cursor of the previous page' }),
  ),
})

export const NextCursor = nullable(Type.String())

/** Content other than JSON, which its route parses and checks. Client generators map this schema to a file. */
export const Bytes = (description?: string) =>
  Type.Unsafe<unknown>({
    ...{ type: 'string', format: 'binary' },
    ...(description === undefined ? {} : { description }),
  })
/** A response in one of several binary formats. */
export const Content = (description: string, types: readonly string[]) => ({
  description,
  content: Object.fromEntries(types.map((type) => [type, { schema: Bytes() }])),
})
/** A response without a body. */
export const Nothing = (description: string) => Type.Unsafe<unknown>({ type: 'null', description })

/** Writes JSON for responses. NaN and infinite numbers become strings. */
export function toJson(value: unknown): string {
  // Checking first is cheaper than a replacer call for every field.
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
