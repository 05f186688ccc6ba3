import { afterAll, beforeAll, expect, it } from 'vitest'
import { isForeign, openapi } from '../support/contract.ts'
import { startService, type RunningService } from '../support/service.ts'

let running: RunningService
beforeAll(async () => {
  running = await startService()
})
afterAll(() => running.close())

it('the document in the repository is the one the routes amount to; "npm run openapi" writes it', async () => {
  const { json } = await running.client.get('/openapi.json')
  expect(json).toEqual(openapi)
})

it.each(
  Object.entries(openapi.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => [method, path, operation] as const),
  ),
)('%s %s is offered, and explained', (method, path, { summary, tags }) => {
  // A verb after a colon is written with two, behind a parameter that stops before it.
  const [name = '', verb] = path.split(':')
  const stops = /^\/v1\/models\/[^/]+(\/versions\/.*|\/metadata)?$/.test(name) && isForeign(path)
  const url = name.replaceAll(/\{(\w+)\}/g, stops ? ':$1([^/:]+)' : ':$1') + (verb ? `::${verb}` : '')
  expect(running.service.app.hasRoute({ method: method.toUpperCase(), url })).toBe(true)
  expect(summary).toMatch(/\w+/)
  expect(tags).toHaveLength(1)
})
