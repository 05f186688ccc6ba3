type Json = Record<string, unknown>

/**
 * Moves every schema that has a title into `components/schemas`, once, and leaves references behind: the routes repeat
 * their schemas, a document and the clients made from it should not.
 */
export function withSharedSchemas(document: object): Json {
  const schemas: Json = {}
  const move = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(move)
    if (typeof value !== 'object' || value === null) return value
    const moved = Object.fromEntries(Object.entries(value).map(([name, field]) => [name, move(field)]))
    const { title, ...schema } = moved
    if (typeof title !== 'string' || !('type' in schema || 'anyOf' in schema)) return moved
    schemas[title] = schema
    return { $ref: `#/components/schemas/${title}` }
  }
  const moved = move(document) as Json
  return { ...moved, components: { ...(moved['components'] as Json | undefined), schemas } }
}
