import Fastify, { type FastifySchema } from 'fastify'
import { expect, it } from 'vitest'
import { openapiDocument, withSharedSchemas } from '../../../src/http/plugins/openapi-document.ts'
import { ErrorFormats } from '../../../src/http/shared/error-formats.ts'

async function withRoutes(...schemas: FastifySchema[]): Promise<void> {
  const app = Fastify()
  await app.register(openapiDocument, { formats: new ErrorFormats([]) })
  schemas.forEach((schema, index) =>
    app.get(`/${String(index)}`, { config: { scope: 'read' }, schema }, () => null),
  )
  await app.ready()
}

it('a route without an operationId stops the start', async () => {
  await expect(withRoutes({ operationId: 'one' }, { operationId: 'two' }, { hide: true })).resolves.toBe(
    undefined,
  )
  await expect(withRoutes({ summary: 'A route' })).rejects.toThrow('GET /0 has no operationId')
  await expect(withRoutes({ operationId: 'one' }, { operationId: 'one' })).rejects.toThrow(
    'two routes have the operationId one',
  )
})

it('two schemas with one title are an error', () => {
  const [text, number] = ['string', 'number'].map((type) => ({ title: 'Same', type }))
  expect(withSharedSchemas({ a: text, b: text })).toMatchObject({
    a: { $ref: '#/components/schemas/Same' },
    components: { schemas: { Same: { type: 'string' } } },
  })
  expect(() => withSharedSchemas({ a: text, b: number })).toThrow('two schemas have the title Same')
})
