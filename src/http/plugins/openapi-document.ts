import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance, FastifySchema } from 'fastify'
import { isDeepStrictEqual } from 'node:util'
import { isRecord, withDefaults } from '../../common/canonical-json.ts'
import { VERSION } from '../../common/version.ts'
import { findProtocol } from './error-handler.ts'
import { foreignErrors, problems, refusals } from '../shared/schema-parts.ts'
import { findScope, type Scope } from '../shared/scopes.ts'
import { securityHeaders } from './security-headers.ts'

type Json = Record<string, unknown>
/** A route's body by its types that may as well be left out. */
interface OptionalBody {
  readonly required?: boolean
}
interface Operation {
  readonly operationId: string
  readonly requestBody?: { required: boolean }
}

/** Swagger UI's symbols are data; the hash is that of the style sheet in its logo, the only one that stands inline. */
const DOCS_HEADERS = securityHeaders({
  images: 'data: blob:',
  styles: "'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='",
})

/** Serves what the routes that follow amount to as an OpenAPI document, and a page to try them on. */
export async function document(app: FastifyInstance): Promise<void> {
  const operations = new Set<string>()
  const withoutBody = new Set<string>()
  app.addHook('onRoute', (route) => {
    const { method, url, schema } = route
    if (schema?.hide === true) return
    // As a client would call it: without patterns, and a parameter is a segment like any other.
    const path = url
      .replaceAll(/\([^)]*\)/g, '')
      .replaceAll('/:', '/')
      .replaceAll('::', ':')
    if (schema?.operationId === undefined)
      throw new TypeError(`${String(method)} ${url} has no operationId, by which clients would call it`)
    describe(schema, path, findScope(route))
    // Fastify answers HEAD wherever there is GET; the document leaves it out.
    if (method === 'HEAD') return
    const { operationId } = schema
    if (operations.has(operationId)) throw new TypeError(`two routes have the operationId ${operationId}`)
    operations.add(operationId)
    if ((schema.body as OptionalBody | undefined)?.required === false) withoutBody.add(operationId)
  })
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'resinit',
        version: VERSION,
        description:
          'Residual networks from a specification and a seed: built, served, and held against theory.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      tags: [
        { name: 'catalogue', description: 'Initializers and architectures' },
        { name: 'models', description: 'Plans, models, weights, statistics' },
        { name: 'prediction', description: 'Images in, classes out' },
        { name: 'experiments', description: 'Initializers side by side in training' },
        { name: 'open inference', description: 'The Open Inference Protocol, version 2' },
        { name: 'tensorflow serving', description: "TensorFlow Serving's REST API" },
        { name: 'operation', description: 'Probes and metrics' },
      ],
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', description: 'The key, where the service asks for one' },
          header: { type: 'apiKey', in: 'header', name: 'X-API-Key', description: 'The same' },
        },
      },
      security: [{ bearer: [] }, { header: [] }],
    },
    // The plugin says that every body has to be there.
    transformObject: (given) => {
      const written = 'openapiObject' in given ? given.openapiObject : given.swaggerObject
      for (const { post } of Object.values(written.paths ?? {}) as { post?: Operation }[])
        if (post?.requestBody && withoutBody.has(post.operationId)) post.requestBody.required = false
      return written
    },
  })
  await app.register(async (scope: FastifyInstance) => {
    scope.addHook('onRequest', (_request, reply, done) => {
      void reply.headers(DOCS_HEADERS)
      done()
    })
    await scope.register(swaggerUi, { routePrefix: '/docs' })
  })
  app.get('/openapi.json', { schema: { hide: true } }, () => withSharedSchemas(app.swagger()))
}

/** Adds what follows from a route's path and scope: how its errors look, and which keys it asks for. */
function describe(schema: FastifySchema, path: string, scope: Scope | undefined): void {
  const isForeign = findProtocol(path) !== undefined
  const keyErrors = scope === undefined ? {} : refusals(scope, isForeign)
  const errors = isForeign ? foreignErrors : problems
  if (schema.response) schema.response = { ...schema.response, ...keyErrors, ...errors }
  // An extension of the document: the words of `security` are for OAuth.
  if (scope === undefined) schema.security = []
  else Object.assign(schema, { 'x-required-scope': scope })
}

/**
 * Moves every schema that has a title into `components/schemas`, once, and leaves references behind: the routes repeat
 * their schemas, a document and the clients made from it should not.
 */
export function withSharedSchemas(document: object): Json {
  const schemas: Json = {}
  const move = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(move)
    if (!isRecord(value)) return value
    const fields = Object.entries(withWholeDefault(value))
    const moved: Json = Object.fromEntries(fields.map(([name, field]) => [name, move(field)]))
    const { title, ...schema } = moved
    if (typeof title !== 'string' || !('type' in schema || 'anyOf' in schema)) return moved
    if (!isDeepStrictEqual(schemas[title] ?? schema, schema))
      throw new TypeError(`two schemas have the title ${title}`)
    schemas[title] = schema
    return { $ref: `#/components/schemas/${title}` }
  }
  const moved = move(document) as Json
  return { ...moved, components: { ...(moved['components'] as Json | undefined), schemas } }
}

/** A schema whose default is a record with every field: the schema may require those that have a default of their own. */
function withWholeDefault(value: Json): Json {
  const isSchema = typeof value['type'] === 'string' || Array.isArray(value['anyOf'])
  return isSchema && isRecord(value['default'])
    ? { ...value, default: withDefaults(value, value['default']) }
    : value
}
