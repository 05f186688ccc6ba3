import { afterAll, beforeAll, expect, it } from 'vitest'
import { isForeign, openapi } from '../../support/contract.ts'
import { startService, type RunningService } from '../../support/service.ts'

let running: RunningService
beforeAll(async () => {
  running = await startService()
})
afterAll(() => running.close())

it('the document in the repository matches the routes; "npm run openapi" writes it', async () => {
  const { json } = await running.client.get('/openapi.json')
  expect(json).toEqual(openapi)
})

/** Clients of these routes also send JSON as octet-stream. */
const readsJsonAsBytes = (path: string): boolean => path.startsWith('/v2/repository/')

it.each(
  Object.entries(openapi.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => [method, path, operation] as const),
  ),
)('%s %s is described completely', (method, path, operation) => {
  const { operationId, summary, tags, requestBody, responses } = operation
  // A route writes a verb with two colons, after a parameter with a pattern.
  const [name = '', verb] = path.split(':')
  const stops = /^\/v1\/models\/[^/]+(\/versions\/.*|\/metadata)?$/.test(name) && isForeign(path)
  const url = name.replaceAll(/\{(\w+)\}/g, stops ? ':$1([^/:]+)' : ':$1') + (verb ? `::${verb}` : '')
  expect(running.service.app.hasRoute({ method: method.toUpperCase(), url })).toBe(true)
  expect(summary).toMatch(/\w+/)
  expect(tags).toHaveLength(1)
  expect(operationId).toMatch(/^[a-z]+([A-Z][a-z]*)*$/)
  for (const status of ['204', '304'])
    if (status in responses) expect(responses[status]).not.toHaveProperty('content')
  for (const { content = {} } of [requestBody ?? {}, ...Object.values(responses)])
    for (const [type, { schema }] of Object.entries(content))
      if (/octet-stream|safetensors|npy|hdf5|tar|image/.test(type) && !readsJsonAsBytes(path))
        expect(schema, type).toMatchObject({ type: 'string', format: 'binary' })
})
