import { readFileSync } from 'node:fs'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import type { Answer } from './client.ts'

interface Content {
  readonly content?: Readonly<Record<string, { readonly schema: object }>>
}
interface Operation {
  readonly operationId?: string
  readonly summary?: string
  readonly tags?: readonly string[]
  readonly security?: readonly object[]
  readonly 'x-required-scope'?: 'predict' | 'read' | 'manage'
  readonly requestBody?: Content
  readonly responses: Readonly<Record<string, Content>>
}

/** The committed document. */
export const openapi = JSON.parse(
  readFileSync(new URL('../../openapi/openapi.json', import.meta.url), 'utf8'),
) as { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> }

const ajv = new Ajv2020({ allErrors: true, strict: false, validateSchema: false })
ajv.addSchema(openapi, 'openapi')
const compiled = new Map<string, ValidateFunction>()
/** Paths without parameters first, as in the router; a colon starts a verb. */
const routes = Object.entries(openapi.paths)
  .toSorted(([a], [b]) => Number(a.includes('{')) - Number(b.includes('{')))
  .map(([template, operations]) => ({
    template,
    pattern: new RegExp(`^${template.replaceAll(/\{[^}]+\}/g, '[^/:]+')}$`),
    operations,
  }))

/** Paths of protocols with their own error format. */
export const isForeign = (pathname: string): boolean =>
  /^\/v2(\/|$)|^\/v1\/models\/(.+:\w*|[^/:]+\/(metadata|(versions?|labels?)(\/.*)?))$/.test(pathname)

/** Throws if the status, content type or body of a response does not match the document. */
export function assertContract(method: string, path: string, { status, headers, bytes }: Answer): void {
  const pathname = path.split('?', 1)[0] ?? path
  const type = (headers['content-type'] ?? '').split(';', 1)[0] ?? ''
  const said = `${method} ${path} returned ${String(status)} ${type}: ${bytes.subarray(0, 2000).toString()}`
  const route = routes.find(({ pattern, operations }) => pattern.test(pathname) && method in operations)
  if (status >= 400) {
    const foreign = isForeign(pathname)
    if (type !== (foreign ? 'application/json' : 'application/problem+json'))
      throw new Error(`an error that is no problem document; ${said}`)
    const declared = route?.operations[method]?.responses[`${String(status).slice(0, 1)}XX`]
    if (declared && !declared.content?.[type])
      throw new Error(`an error that the document does not list; ${said}`)
    // The response has no body.
    if (method === 'head') return
    validate(`/components/schemas/${foreign ? 'ProtocolError' : 'Problem'}`, bytes, said)
    return
  }
  if (!route || status === 304) return
  const response = route.operations[method]?.responses[String(status)]
  if (!response) throw new Error(`a status that the document does not list; ${said}`)
  if (bytes.length === 0) return
  if (!response.content?.[type]) throw new Error(`a content type that the document does not list; ${said}`)
  if (type !== 'application/json') return
  const steps = ['paths', route.template, method, 'responses', String(status), 'content', type, 'schema']
  validate(steps.map((step) => `/${step.replaceAll('/', '~1')}`).join(''), bytes, said)
}

/** `pointer` is the location of the schema in the document. */
function validate(pointer: string, bytes: Buffer, said: string): void {
  const check = compiled.get(pointer) ?? ajv.compile({ $ref: `openapi#${encodeURI(pointer)}` })
  compiled.set(pointer, check)
  if (!check(JSON.parse(bytes.toString()))) throw new Error(`${ajv.errorsText(check.errors)}; ${said}`)
}
