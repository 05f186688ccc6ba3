import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { buildService } from '../../src/service.ts'
import { Client } from '../support/client.ts'
import { arithmeticImage, npy } from '../support/images.ts'
import { slow } from '../support/networks.ts'
import { expectProblem } from '../support/problems.ts'
import { startService, temporaryFolder, type RunningService } from '../support/service.ts'

const shape = [1, 64, 64, 3]
const image = arithmeticImage(shape)
const many = npy([40, 64, 64, 3], arithmeticImage([40, 64, 64, 3]))
const path = '/v1/models/slow/predict'

describe('an engine that dies', () => {
  let running: RunningService
  beforeEach(async () => {
    running = await startService({ MAX_BATCH_SIZE: '8' })
    await running.client.create({ ...slow, name: 'slow' })
  })
  afterEach(() => running.close())

  const kill = (): void => {
    process.kill(running.service.engine.pid ?? 0, 'SIGKILL')
  }

  it('costs a restart: what was in flight is answered with the same logits, as is what comes later', async () => {
    const wanted = await running.client.logits('slow', shape, image)
    const computed = vi.spyOn(running.service.engine, 'predict')
    const flight = Promise.all(
      Array.from({ length: 12 }, () =>
        running.client.upload(`${path}?include=logits&batch=false`, npy(shape, image), 'application/x-npy'),
      ),
    )
    await vi.waitUntil(() => computed.mock.calls.length > 2, { interval: 1 })
    kill()
    for (const { status, json } of await flight) {
      expect(status).toBe(200)
      expect(json).toMatchObject({ predictions: [{ logits: wanted[0] }] })
    }
    expect(running.service.engine.restarts).toBe(1)
    expect(await running.client.logits('slow', shape, image)).toEqual(wanted)
    expect((await running.client.get('/v1/models/slow')).json).toMatchObject({ state: 'ready' })
  })

  it('makes the service not ready until the next one answers, which calls wait for', async () => {
    kill()
    await vi.waitUntil(async () => (await running.client.get('/readyz')).status !== 200, { interval: 1 })
    expectProblem(await running.client.get('/readyz'), { status: 503, code: 'ENGINE_UNAVAILABLE' })
    expect(await running.client.logits('slow', shape, image)).toHaveLength(1)
    expect((await running.client.get('/readyz')).status).toBe(200)
    kill()
    running.service.drain()
    await vi.waitUntil(() => running.service.engine.restarts === 2, { interval: 1 })
    expectProblem(await running.client.get('/readyz'), { status: 503, code: 'SHUTTING_DOWN' })
  })

  it('is missed by nobody who calls while it goes', async () => {
    const wanted = await running.client.logits('slow', shape, image)
    kill()
    const calls = Array.from({ length: 20 }, async (_, index) => {
      await new Promise((resolve) => setTimeout(resolve, index))
      return running.client.logits('slow', shape, image)
    })
    for (const logits of await Promise.all(calls)) expect(logits[0]).toHaveLength(wanted[0]?.length ?? NaN)
  })

  it('is not asked a third time for what killed it twice', async () => {
    const computed = vi.spyOn(running.service.engine, 'predict')
    const answer = running.client.upload(`${path}?batch=false`, many, 'application/x-npy')
    for (const death of [1, 2]) {
      await vi.waitUntil(() => computed.mock.calls.length === death, { interval: 1, timeout: 30_000 })
      kill()
    }
    expectProblem(await answer, { status: 500, code: 'ENGINE_CRASHED' })
    expect((await running.client.upload(path, many, 'application/x-npy')).status).toBe(200)
    expect(running.service.engine.restarts).toBe(2)
  })
})

describe('a service', () => {
  it('is alive but not ready until its engine is, and while it drains', async () => {
    const service = await buildService(readConfig({ DATA_DIR: await temporaryFolder(), LOG_LEVEL: 'silent' }))
    try {
      const client = new Client(await service.app.listen({ port: 0 }))
      const refused = await client.get('/readyz')
      expectProblem(refused, { status: 503, code: 'ENGINE_UNAVAILABLE' })
      expect(refused.headers['retry-after']).toMatch(/^[1-9]\d*$/)
      expect((await client.get('/livez')).status).toBe(200)
      await service.started()
      expect((await client.get('/readyz')).status).toBe(200)
      service.drain()
      expect((await client.get('/readyz')).status).toBe(503)
      expect((await client.get('/livez')).status).toBe(200)
    } finally {
      await service.close()
    }
  })

  it('that closes answers what it began and refuses what comes after on the same connection', async () => {
    const running = await startService()
    const { client, service } = running
    await client.create({ ...slow, name: 'slow' })
    const computed = vi.spyOn(service.engine, 'predict')
    const socket = connect(Number(new URL(client.url).port), '127.0.0.1')
    let answers = ''
    socket.on('data', (chunk: Buffer) => (answers += chunk.toString()))
    socket.write(
      `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-npy\r\nContent-Length: ${String(many.length)}\r\n\r\n`,
    )
    socket.write(many)
    await vi.waitUntil(() => computed.mock.calls.length > 0, { interval: 1 })
    const closed = running.close()
    socket.write('GET /livez HTTP/1.1\r\nHost: a\r\n\r\n')
    await once(socket, 'close')
    await closed
    expect(answers).toMatch(/^HTTP\/1\.1 200 OK/)
    expect(answers).toMatch(
      /HTTP\/1\.1 503 [^]*retry-after: \d+[^]*application\/problem\+json[^]*"code":"SHUTTING_DOWN"/i,
    )
  })
})
