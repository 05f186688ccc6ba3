import Type from 'typebox'

const closed = { additionalProperties: false }
export const optional = Type.Optional

/** JSON has no NaN and no infinity: such numbers are said in words. */
export const Num = Type.Union([Type.Number(), Type.Enum(['NaN', 'Infinity', '-Infinity'])])

const Problem = Type.Object(
  {
    type: Type.String({ description: 'urn:resinit:problem:<code>' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: Type.String({ description: 'Stable; clients may rely on it' }),
    error: Type.String({ description: 'The detail again, for TensorFlow Serving clients' }),
    errors: optional(Type.Array(Type.Object({ pointer: Type.String(), detail: Type.String() }))),
  },
  { title: 'Problem', ...closed, description: 'RFC 9457 problem' },
)

/** What any route may answer beside its own success. */
export const problems = {
  '4xx': {
    description: 'What is wrong with the request, and the cure',
    content: { 'application/problem+json': { schema: Problem } },
  },
  '5xx': {
    description: 'The service could not',
    content: { 'application/problem+json': { schema: Problem } },
  },
}

export const Page = Type.Object(
  {
    limit: optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })),
    cursor: optional(Type.String()),
  },
  closed,
)

export const NextCursor = Type.Union([Type.String(), Type.Null()])

/** Content that is not JSON: its route reads and checks it. */
export const Bytes = (description: string) => Type.Unsafe<Buffer>({ description })
/** An answer in one of several formats. */
export const Content = (description: string, types: readonly string[]) => ({
  description,
  content: Object.fromEntries(types.map((type) => [type, { schema: Type.Unsafe<unknown>({}) }])),
})

/** JSON for answers: numbers JSON cannot carry become words. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_, field: unknown) =>
    typeof field === 'number' && !Number.isFinite(field) ? String(field) : field,
  )
}
