import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { expectForeignError } from '../../support/problems.ts'
import { startService, type RunningService } from '../../support/service.ts'

describe('errors of the other protocols', () => {
  let running: RunningService
  beforeAll(async () => {
    running = await startService({ HOST: '0.0.0.0' })
  })
  afterAll(() => running.close())

  const keyed = () => ({ 'x-api-key': running.service.key ?? '' })

  it('are plain JSON for a missing path, method or key', async () => {
    const { client } = running
    expectForeignError(await client.get('/v2/nowhere', keyed()), { status: 404, says: /there is no GET/ })
    expectForeignError(await client.get('/v2/models/%zz', keyed()), { status: 400 })
    const wrong = await client.upload('/v2/health/live', 'x', 'text/plain', keyed())
    expectForeignError(wrong, { status: 405, says: /GET or HEAD/ })
    expect(wrong.headers['allow']).toBe('GET, HEAD')
    const keyless = await client.get('/v2/nowhere')
    expectForeignError(keyless, { status: 401, says: /key/ })
    expect(keyless.headers['www-authenticate']).toBe('Bearer')
  })

  it('report that the service is not ready', async () => {
    const other = await startService()
    try {
      other.service.drain()
      expectForeignError(await other.client.get('/v2/health/ready'), { status: 503, says: /shutting down/ })
      expect((await other.client.get('/v2/health/live')).status).toBe(200)
    } finally {
      await other.close()
    }
  })

  it('leave the probes open', async () => {
    for (const [path, body] of [
      ['/v2/health/live', { live: true }],
      ['/v2/health/ready', { live: true, ready: true }],
    ] as const) {
      const answer = await running.client.get(path)
      expect([answer.status, answer.headers['content-type'], answer.json]).toEqual([
        200,
        'application/json',
        body,
      ])
    }
  })
})
