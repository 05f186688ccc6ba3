// Writes docs/api.md, the reference that people read, from the document that programs read: `npm run openapi`.
import { readFile, writeFile } from 'node:fs/promises'

/**
 * @typedef {object} Schema
 * @property {string} [$ref]
 * @property {string} [type]
 * @property {string} [format]
 * @property {string} [description]
 * @property {Schema[]} [anyOf]
 * @property {unknown[]} [enum]
 * @property {unknown} [const]
 * @property {unknown} [default]
 * @property {Schema} [items]
 * @property {Record<string, Schema>} [properties]
 * @property {string[]} [required]
 * @property {number} [minimum]
 * @property {number} [maximum]
 * @property {number} [exclusiveMinimum]
 *
 * @typedef {{name: string, in: string, required?: boolean, description?: string, schema: Schema}} Parameter
 * @typedef {{description?: string, content?: Record<string, {schema?: Schema}>}} Content
 * @typedef {object} Operation
 * @property {string} operationId
 * @property {string} summary
 * @property {string[]} tags
 * @property {Parameter[]} [parameters]
 * @property {Content} [requestBody]
 * @property {Record<string, Content>} responses
 * @property {object[]} [security] empty where no key is asked for
 *
 * @typedef {object} Document
 * @property {{name: string, description: string}[]} tags
 * @property {Record<string, Record<string, Operation>>} paths
 * @property {{schemas: Record<string, Schema>}} components
 */

const folder = new URL('./', import.meta.url)
const page = new URL('../docs/api.md', folder)
const document = /** @type {Document} */ (JSON.parse(await readFile(new URL('openapi.json', folder), 'utf8')))
await writeFile(page, `${referenceOf(document)}\n`)

/** @param {Document} document */
function referenceOf({ tags, paths, components }) {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      title: `${method.toUpperCase()} ${path}`,
      operation,
    })),
  )
  const sections = tags.map(({ name, description }) => ({
    title: description,
    routes: operations.filter(({ operation }) => operation.tags.includes(name)),
  }))
  return [
    '# API',
    'Written by `npm run openapi` from [openapi.json](../openapi/openapi.json). A running service has the same at ' +
      '`/openapi.json` and, to try it, at `/docs`. Answers may gain fields; requests with unknown ones are refused. ' +
      'Where a type is `number*`, an answer has what JSON cannot carry as one of the words "NaN", "Infinity" and ' +
      '"-Infinity".',
    ...sections.flatMap(({ title, routes }) => [
      `**${title}**`,
      routes
        .map(({ title, operation }) => `- [\`${title}\`](#${slugOf(title)}): ${cell(operation.summary)}`)
        .join('\n'),
    ]),
    ...sections.flatMap(({ title, routes }) => [`## ${title}`, ...routes.flatMap(routeOf)]),
    '## Schemas',
    ...Object.entries(components.schemas).flatMap(([name, schema]) => [`### ${name}`, ...schemaOf(schema)]),
  ].join('\n\n')
}

/** The anchor that GitHub gives a heading. @param {string} title */
function slugOf(title) {
  return title
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, '')
    .replaceAll(' ', '-')
}

/** @param {{title: string, operation: Operation}} route */
function routeOf({ title, operation }) {
  const { operationId, summary, parameters = [], requestBody, responses, security } = operation
  return [
    `### ${title}`,
    `${summary}. (\`${operationId}\`${security?.length === 0 ? '; asks for no key' : ''})`,
    ...table(
      ['parameter', 'in', 'type', 'meaning'],
      parameters.map(({ name, in: place, required, description, schema }) => [
        `\`${name}\`${required ? '' : ' (optional)'}`,
        place,
        typeOf(schema),
        meaningOf({ ...schema, description: description ?? schema.description ?? '' }),
      ]),
    ),
    ...(requestBody ? bodyOf(requestBody) : []),
    ...table(
      ['answer', 'type', 'meaning'],
      Object.entries(responses).flatMap(([status, { description = '', content = {} }]) =>
        // Said once below, for they are the same everywhere.
        /^[45]XX$/.test(status)
          ? []
          : [[status, contentOf(content), cell(description === 'Default Response' ? '' : description)]],
      ),
    ),
    errorsOf(responses),
  ]
}

/** @param {Operation['responses']} responses */
function errorsOf(responses) {
  const type = contentOf(responses['4XX']?.content ?? {})
  const explained = type.includes('ProtocolError') ? '[protocols.md](protocols.md)' : '[errors.md](errors.md)'
  return `Errors: ${type}; ${explained} has their statuses.`
}

/** Inline bodies are shown where they stand, those with a name further down. @param {Content} body */
function bodyOf({ content = {} }) {
  return Object.entries(content).flatMap(([type, { schema = {} }]) => [
    `Body \`${type}\`: ${typeOf(schema)}${schema.description ? `. ${cell(schema.description)}` : ''}`,
    ...table(['field', 'type', 'meaning'], rowsOf(schema)),
  ])
}

/** @param {NonNullable<Content['content']>} content */
function contentOf(content) {
  return Object.entries(content)
    .map(([type, { schema = {} }]) => `\`${type}\`${schema.$ref ? `: ${typeOf(schema)}` : ''}`)
    .join(', ')
}

/** @param {Schema} schema */
function schemaOf(schema) {
  const rows = rowsOf(schema)
  return [
    ...(schema.description ? [cell(schema.description)] : []),
    ...(rows.length > 0 ? table(['field', 'type', 'meaning'], rows) : [`${typeOf(schema)}.`]),
  ]
}

/**
 * A row for each field, and for the fields of those that are records themselves.
 * @param {Schema} schema
 * @returns {string[][]}
 */
function rowsOf(schema, prefix = '') {
  const { properties = {}, required = [] } = schema
  return Object.entries(properties).flatMap(([name, field]) => {
    const path = `${prefix}${name}`
    const row = [
      `\`${path}\`${required.includes(name) ? '' : ' (optional)'}`,
      typeOf(field),
      meaningOf(field),
    ]
    return [
      row,
      ...branchesOf(field).flatMap((branch) =>
        branch.items
          ? branchesOf(branch.items).flatMap((item) => rowsOf(item, `${path}[].`))
          : rowsOf(branch, `${path}.`),
      ),
    ]
  })
}

/** @param {Schema} schema @returns {Schema[]} */
function branchesOf(schema) {
  return schema.anyOf ?? [schema]
}

/** @param {Schema} schema @returns {string} */
function typeOf(schema) {
  const { $ref, anyOf, items, type, format, const: only } = schema
  if ($ref !== undefined) {
    const name = $ref.slice($ref.lastIndexOf('/') + 1)
    return `[${name}](#${slugOf(name)})`
  }
  if (anyOf?.some((branch) => branch.enum?.includes('NaN'))) {
    const others = anyOf.filter((branch) => branch.type !== 'number' && !branch.enum)
    return ['number\\*', ...others.map(typeOf)].join(' or ')
  }
  if (anyOf) return [...new Set(anyOf.map(typeOf))].join(' or ')
  if (schema.enum) return schema.enum.map(code).join(', ')
  if (only !== undefined) return code(only)
  if (items) return `array of ${typeOf(items)}`
  if (format === 'binary') return 'bytes'
  return `${type ?? 'anything'}${boundsOf(schema)}`
}

/** @param {Schema} schema */
function boundsOf({ minimum, maximum, exclusiveMinimum }) {
  const safe = [minimum, maximum].every(
    (bound) => bound !== undefined && Math.abs(bound) === Number.MAX_SAFE_INTEGER,
  )
  if (safe) return ', safe'
  if (minimum !== undefined && maximum !== undefined) return `, ${String(minimum)} to ${String(maximum)}`
  const bounds = [
    ...(minimum === undefined ? [] : [`at least ${String(minimum)}`]),
    ...(exclusiveMinimum === undefined ? [] : [`above ${String(exclusiveMinimum)}`]),
    ...(maximum === undefined ? [] : [`at most ${String(maximum)}`]),
  ]
  return bounds.map((bound) => `, ${bound}`).join('')
}

/** @param {Schema} schema */
function meaningOf({ description = '', default: preset }) {
  const given = preset === undefined ? [] : [`Default ${code(preset)}`]
  return cell([...(description ? [description] : []), ...given].join('. '))
}

/** @param {unknown} value */
function code(value) {
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``
}

/** Text of others as Markdown has it between the bars of a table. @param {string} text */
function cell(text) {
  return text
    .split(/(`[^`]*`)/)
    .map((part, index) => (index % 2 === 1 ? part : part.replaceAll(/[*_<>[\]]/g, String.raw`\$&`)))
    .join('')
    .replaceAll('\n', ' ')
}

/** @param {string[]} head @param {string[][]} rows */
function table(head, rows) {
  if (rows.length === 0) return []
  return [
    [head, head.map(() => '---'), ...rows]
      .map((cells) => `| ${cells.map((text) => text.replaceAll('|', String.raw`\|`)).join(' | ')} |`)
      .join('\n'),
  ]
}
