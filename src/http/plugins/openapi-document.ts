import fastifySwagger from '@fastify/swagger'
import fastifySwaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance, FastifySchema } from 'fastify'
import fp from 'fastify-plugin'
import { isDeepStrictEqual } from 'node:util'
import { isRecord, withDefaults } from '../../common/canonical-json.ts'
import { VERSION } from '../../common/version.ts'
import type { ErrorFormats } from '../shared/error-formats.ts'
import { keyErrors, problems, protocolErrors } from '../shared/schema-parts.ts'
import { findScope, type Scope } from '../shared/scopes.ts'
import { createSecurityHeaders } from './security-headers.ts'

type Json = Record<string, unknown>
/** The schema of an optional body. */
interface OptionalBody {
  readonly required?: boolean
}
interface Operation {
  readonly operationId: string
  readonly requestBody?: { required: boolean }
}

/** Swagger UI's symbols are data URLs. The hash is of the style sheet in its logo, the only inline one. */
const DOCS_HEADERS = createSecurityHeaders({
  images: 'data: blob:',
  styles: "'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='",
})

const DOCUMENT = {
  openapi: '3.1.0',
  info: {
    title: 'resinit',
    version: VERSION,
    description:
      'Builds residual networks from a specification and a seed, serves them, and tests their weights against theory.',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  tags: [
    { name: 'catalogue', description: 'Initializers and architectures' },
    { name: 'models', description: 'Plans, models, weights, statistics' },
    { name: 'prediction', description: 'Images in, classes out' },
    { name: 'experiments', description: 'Training runs that compare initializers' },
    { name: 'open inference', description: 'The Open Inference Protocol, version 2' },
    { name: 'tensorflow serving', description: "TensorFlow Serving's REST API" },
    { name: 'operation', description: 'Probes and metrics' },
  ],
  components: {
    securitySchemes: {
      bearer: { type: 'http', scheme: 'bearer', description: 'The key, if the service requires one' },
      header: { type: 'apiKey', in: 'header', name: 'X-API-Key', description: 'Same as bearer' },
    },
  },
  security: [{ bearer: [] }, { header: [] }],
} as const

/** Serves an OpenAPI document of the routes that are registered after it, and Swagger UI under /docs. */
export const openapiDocument = fp(
  async (app: FastifyInstance, { formats }: { readonly formats: ErrorFormats }) => {
    const operations = new Set<string>()
    const optionalBodies = new Set<string>()
    app.addHook('onRoute', (route) => {
      const { method, url, schema } = route
      if (schema?.hide === true) return
      if (schema?.operationId === undefined)
        throw new TypeError(`${String(method)} ${url} has no operationId, which names it in clients`)
      describeRoute(schema, formats.find(toClientPath(url)) !== undefined, findScope(route))
      // Fastify adds HEAD to every GET; the document omits it.
      if (method === 'HEAD') return
      const { operationId } = schema
      if (operations.has(operationId)) throw new TypeError(`two routes have the operationId ${operationId}`)
      operations.add(operationId)
      if ((schema.body as OptionalBody | undefined)?.required === false) optionalBodies.add(operationId)
    })
    await app.register(fastifySwagger, {
      openapi: structuredClone(DOCUMENT) as unknown as object,
      // The plugin marks every body as required.
      transformObject: (given) => {
        const written = 'openapiObject' in given ? given.openapiObject : given.swaggerObject
        for (const { post } of Object.values(written.paths ?? {}) as { post?: Operation }[])
          if (post?.requestBody && optionalBodies.has(post.operationId)) post.requestBody.required = false
        return written
      },
    })
    await app.register(async (scope: FastifyInstance) => {
      scope.addHook('onRequest', (_request, reply, next) => {
        void reply.headers(DOCS_HEADERS)
        next()
      })
      await scope.register(fastifySwaggerUi, { routePrefix: '/docs' })
    })
    app.get('/openapi.json', { schema: { hide: true } }, () => withSharedSchemas(app.swagger()))
  },
  { name: 'openapi-document' },
)

/** The path of a route as a client writes it: without patterns, and with a parameter as a plain segment. */
function toClientPath(url: string): string {
  return url
    .replaceAll(/\([^)]*\)/g, '')
    .replaceAll('/:', '/')
    .replaceAll('::', ':')
}

/** Adds error responses and the required scope to the schema of a route. */
function describeRoute(schema: FastifySchema, isProtocol: boolean, scope: Scope | undefined): void {
  const responses = scope === undefined ? {} : keyErrors(scope, isProtocol)
  const errors = isProtocol ? protocolErrors : problems
  if (schema.response) schema.response = { ...schema.response, ...responses, ...errors }
  // `security` can list scopes for OAuth only, so the scope is an extension field.
  if (scope === undefined) schema.security = []
  else Object.assign(schema, { 'x-required-scope': scope })
}

/** Moves every schema with a title into `components/schemas` and replaces its copies by references. */
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

/** Completes a record default with the defaults of its fields, which the schema may require. */
function withWholeDefault(value: Json): Json {
  const isSchema = typeof value['type'] === 'string' || Array.isArray(value['anyOf'])
  return isSchema && isRecord(value['default'])
    ? { ...value, default: withDefaults(value, value['default']) }
    : value
}
