import { afterAll, beforeAll, expect, it } from 'vitest'
import { openapi } from '../support/contract.ts'
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
  const url = path.replaceAll(/\{(\w+)\}/g, ':$1')
  expect(running.service.app.hasRoute({ method: method.toUpperCase(), url })).toBe(true)
  expect(summary).toMatch(/\w+/)
  expect(tags).toHaveLength(1)
})
