import type { TSchema } from 'typebox'

export type Json = Readonly<Record<string, unknown>>

/** What matters here of a schema: TypeBox writes no more for records, lists and unions. */
interface Keywords {
  readonly default?: unknown
  readonly properties?: Readonly<Record<string, TSchema>>
  readonly items?: TSchema
  readonly anyOf?: readonly TSchema[]
}

/** A value with every field said, in the schema's order: what is absent is its default. -0 is 0, as JSON keeps it. */
export function withDefaults(schema: TSchema, given: unknown): unknown {
  return within(schema, given === undefined ? (schema as Keywords).default : given, withDefaults)
}

/** The opposite: a complete value without the fields that equal their defaults, at every depth. */
export function withoutDefaults(schema: TSchema, value: unknown): unknown {
  return within(schema, value, (field, part) => {
    const standard = withDefaults(field, undefined)
    return canonicalJson(part) === canonicalJson(standard) ? undefined : withoutDefaults(field, part)
  })
}

/** JSON by RFC 8785, for records whose names are no numbers: fields sorted by UTF-16 code units, no spaces. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, field: unknown) =>
    isRecord(field)
      ? Object.fromEntries(Object.entries(field).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : field,
  )
}

/** The parts of a record or a list that `part` gives, by the branch of the schema that is a record or a list. */
function within(
  schema: TSchema,
  value: unknown,
  part: (schema: TSchema, value: unknown) => unknown,
): unknown {
  const branches: readonly Keywords[] = [schema, ...((schema as Keywords).anyOf ?? [])]
  if (isRecord(value)) {
    const properties = branches.find((branch) => branch.properties)?.properties
    if (properties === undefined) return value
    const fields = Object.entries(properties).map(
      ([name, field]) => [name, part(field, value[name])] as const,
    )
    return Object.fromEntries(fields.filter(([, field]) => field !== undefined))
  }
  if (Array.isArray(value)) {
    const items = branches.find((branch) => branch.items)?.items
    return items === undefined ? value : value.map((item) => part(items, item))
  }
  return value === 0 ? 0 : value
}

export function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
