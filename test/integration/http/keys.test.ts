import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isForeign, openapi } from '../../support/contract.ts'
import { expectForeignError, expectProblem } from '../../support/problems.ts'
import { startService, type RunningService } from '../../support/service.ts'

describe('bound wider than loopback without keys', () => {
  let running: RunningService
  beforeAll(async () => {
    running = await startService({ HOST: '0.0.0.0' })
  })
  afterAll(() => running.close())

  const open = [
    '/',
    '/livez',
    '/readyz',
    '/v2/health/live',
    '/v2/health/ready',
    '/openapi.json',
    '/docs',
    '/docs/json',
  ]
  const routes = Object.entries(openapi.paths)
    .filter(([path]) => !open.includes(path))
    .flatMap(([path, operations]) => Object.keys(operations).map((method) => [method, path] as const))

  it('the document lists the routes that require the key', () => {
    const operations = Object.entries(openapi.paths).flatMap(([path, methods]) =>
      Object.values(methods).map(({ security }) => ({ path, asks: security === undefined })),
    )
    expect(operations.filter(({ asks }) => !asks).map(({ path }) => path)).toEqual(
      open.filter((path) => path in openapi.paths),
    )
    expect(openapi).toMatchObject({
      security: [{ bearer: [] }, { header: [] }],
      components: {
        securitySchemes: { bearer: { type: 'http', scheme: 'bearer' }, header: { in: 'header' } },
      },
    })
  })

  it.each(routes)('%s %s requires the key', async (method, path) => {
    const wanted = path.replaceAll(/\{[^}]+\}/g, 'x')
    for (const headers of [{}, { authorization: 'Bearer wrong' }, { 'x-api-key': '' }]) {
      const answer = await running.client.send(method as 'get', wanted, headers)
      const says = /Authorization: Bearer/
      if (isForeign(wanted)) expectForeignError(answer, { status: 401, says })
      else expectProblem(answer, { status: 401, code: 'UNAUTHORIZED', says })
      expect(answer.headers['www-authenticate']).toBe('Bearer')
    }
  })

  it('requires it for unknown routes too', async () => {
    expectProblem(await running.client.get('/nowhere'), { status: 401, code: 'UNAUTHORIZED' })
    expectProblem(await running.client.get('/livez/../v1/models'), { status: 401, code: 'UNAUTHORIZED' })
  })

  it('requires it for every method, and rejects pages of other origins', async () => {
    const { client } = running
    for (const [, path] of routes) {
      const wanted = path.replaceAll(/\{[^}]+\}/g, 'x')
      const asked = { origin: 'https://app.example.com', 'access-control-request-method': 'GET' }
      const answers = [await client.send('options', wanted, asked), await client.send('patch', wanted, asked)]
      expect(answers.map(({ status }) => status)).toEqual([401, 401])
      for (const { headers } of answers)
        expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([])
    }
  })

  it.each(open)('%s requires none', async (path) => {
    expect((await running.client.get(path)).status).toBe(200)
  })

  it('accepts the key in either header', async () => {
    const key = running.service.key ?? ''
    expect(key).toMatch(/^[\w-]{32}$/)
    for (const headers of [{ authorization: `Bearer ${key}` }, { 'x-api-key': key }] as Record<
      string,
      string
    >[]) {
      expect((await running.client.get('/v1/models', headers)).status).toBe(200)
    }
  })
})

it.each([{ HOST: '127.0.0.1' }, { HOST: '0.0.0.0', ALLOW_ANONYMOUS: 'true' }])(
  '%j requires no key',
  async (settings) => {
    const running = await startService(settings)
    try {
      expect(running.service.key).toBeUndefined()
      expect((await running.client.get('/v1/models')).status).toBe(200)
    } finally {
      await running.close()
    }
  },
)
