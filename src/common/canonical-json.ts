import type { TSchema } from 'typebox'

export type Json = Readonly<Record<string, unknown>>

/** The schema keywords that TypeBox writes for records, lists and unions. */
interface Keywords {
  readonly default?: unknown
  readonly properties?: Readonly<Record<string, TSchema>>
  readonly items?: TSchema
  readonly anyOf?: readonly TSchema[]
}

/** Fills every missing field with its default, in schema order. -0 becomes 0, as in JSON. */
export function withDefaults(schema: TSchema, given: unknown): unknown {
  return mapParts(schema, given === undefined ? (schema as Keywords).default : given, withDefaults)
}

/** The inverse: removes the fields that equal their defaults, at every depth. */
export function withoutDefaults(schema: TSchema, value: unknown): unknown {
  return mapParts(schema, value, (field, part) => {
    const standard = withDefaults(field, undefined)
    return canonicalJson(part) === canonicalJson(standard) ? undefined : withoutDefaults(field, part)
  })
}

/** JSON by RFC 8785 for records without numeric names: fields sorted by UTF-16 code units, no spaces. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, field: unknown) =>
    isRecord(field)
      ? Object.fromEntries(Object.entries(field).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : field,
  )
}

/** Maps the parts of a record or a list by the matching branch of the schema. */
function mapParts(
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
