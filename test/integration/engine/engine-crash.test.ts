import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { readConfig } from '../../../src/config.ts'
import { buildService } from '../../../src/service.ts'
import { Client } from '../../support/client.ts'
import { halt, kill, whileHalted } from '../../support/halt.ts'
import { arithmeticImage, npy } from '../../support/images.ts'
import { slow } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { startService, temporaryFolder, type RunningService } from '../../support/service.ts'

const shape = [1, 64, 64, 3]
const image = arithmeticImage(shape)
const one = npy(shape, image)
const path = '/v1/models/slow/predict'
const until = (condition: () => boolean) => vi.waitUntil(condition, { interval: 5, timeout: 30_000 })

describe('an engine crash', () => {
  let running: RunningService
  beforeEach(async () => {
    running = await startService({ MAX_BATCH_SIZE: '8' })
    await running.client.create({ ...slow, name: 'slow' })
  })
  afterEach(() => running.close())

  it('costs a restart: requests in flight and later ones get the same logits', async () => {
    const wanted = await running.client.logits('slow', shape, image)
    const { engine } = running.service
    const computed = vi.spyOn(engine, 'predict')
    halt(engine.pid)
    const flight = Promise.all(
      Array.from({ length: 12 }, () =>
        running.client.upload(`${path}?include=logits&batch=false`, one, 'application/x-npy'),
      ),
    )
    await until(() => computed.mock.calls.length > 0)
    kill(engine.pid)
    for (const { status, json } of await flight) {
      expect(status).toBe(200)
      expect(json).toMatchObject({ predictions: [{ logits: wanted[0] }] })
    }
    expect(engine.restarts).toBe(1)
    expect(await running.client.logits('slow', shape, image)).toEqual(wanted)
    expect((await running.client.get('/v1/models/slow')).json).toMatchObject({ state: 'ready' })
  })

  it('makes the service not ready until the next process answers; calls wait for it', async () => {
    kill(running.service.engine.pid)
    await vi.waitUntil(async () => (await running.client.get('/readyz')).status !== 200, { interval: 1 })
    expectProblem(await running.client.get('/readyz'), { status: 503, code: 'ENGINE_UNAVAILABLE' })
    expect(await running.client.logits('slow', shape, image)).toHaveLength(1)
    expect((await running.client.get('/readyz')).status).toBe(200)
    kill(running.service.engine.pid)
    running.service.drain()
    await vi.waitUntil(() => running.service.engine.restarts === 2, { interval: 1 })
    expectProblem(await running.client.get('/readyz'), { status: 503, code: 'SHUTTING_DOWN' })
  })

  it('during a build repeats the build', async () => {
    const { client, service } = running
    const build = service.engine.build.bind(service.engine)
    const asked = vi.spyOn(service.engine, 'build').mockImplementationOnce((request) => {
      halt(service.engine.pid)
      return build(request)
    })
    const created = client.create({ ...slow, seed: 1 })
    await until(() => asked.mock.calls.length === 1)
    kill(service.engine.pid)
    expect(await created).toMatchObject({ state: 'ready', last_error: null })
    expect(asked).toHaveBeenCalledTimes(2)
  })

  it('fails no call that is made during the exit', async () => {
    const wanted = await running.client.logits('slow', shape, image)
    kill(running.service.engine.pid)
    const calls = Array.from({ length: 20 }, async (_, index) => {
      await new Promise((resolve) => setTimeout(resolve, index))
      return running.client.logits('slow', shape, image)
    })
    for (const logits of await Promise.all(calls)) expect(logits[0]).toHaveLength(wanted[0]?.length ?? NaN)
  })

  it('is not retried a third time for the same request', async () => {
    const { engine } = running.service
    const predict = engine.predict.bind(engine)
    // Stopped before the batch is sent, so that the crash happens during this batch.
    const computed = vi.spyOn(engine, 'predict').mockImplementation((batch) => {
      halt(engine.pid)
      return predict(batch)
    })
    const answer = running.client.upload(`${path}?batch=false`, one, 'application/x-npy')
    for (const death of [1, 2]) {
      await until(() => computed.mock.calls.length === death)
      kill(engine.pid)
    }
    expectProblem(await answer, { status: 500, code: 'ENGINE_CRASHED' })
    expect(computed).toHaveBeenCalledTimes(2)
    computed.mockRestore()
    expect((await running.client.upload(path, one, 'application/x-npy')).status).toBe(200)
    expect(engine.restarts).toBe(2)
  })
})

describe('a service', () => {
  it('is alive but not ready until its engine is, and while it drains', async () => {
    const folder = await temporaryFolder()
    const service = await buildService(readConfig({ DATA_DIR: folder, LOG_LEVEL: 'silent' }))
    try {
      const client = new Client(await service.app.listen({ port: 0 }))
      const refused = await client.get('/readyz')
      expectProblem(refused, { status: 503, code: 'ENGINE_UNAVAILABLE' })
      expect(refused.headers['retry-after']).toMatch(/^[1-9]\d*$/)
      expect((await client.get('/livez')).status).toBe(200)
      await service.started()
      expect((await client.get('/readyz')).status).toBe(200)
      service.drain()
      expectProblem(await client.get('/readyz'), { status: 503, code: 'SHUTTING_DOWN' })
      expect((await client.get('/livez')).status).toBe(200)
    } finally {
      await service.close()
      await rm(folder, { recursive: true })
    }
  })

  it('closes although an idle connection is open', async () => {
    const running = await startService()
    const socket = connect(Number(new URL(running.client.url).port), '127.0.0.1')
    await once(socket, 'connect')
    const begun = Date.now()
    await Promise.all([running.close(), once(socket, 'close')])
    // Otherwise Node waits a minute for the head of a request.
    expect(Date.now() - begun).toBeLessThan(20_000)
  })

  it('answers started requests while closing and rejects later ones on the same connection', async () => {
    const running = await startService()
    const { client, service } = running
    await client.create({ ...slow, name: 'slow' })
    const asked = vi.fn()
    service.app.server.on('request', asked)
    const socket = connect(Number(new URL(client.url).port), '127.0.0.1')
    let answers = ''
    socket.on('data', (chunk: Buffer) => (answers += chunk.toString()))
    const closed = await whileHalted(service.engine.pid, async () => {
      socket.write(
        `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-npy\r\nContent-Length: ${String(one.length)}\r\n\r\n`,
      )
      socket.write(one)
      await until(() => asked.mock.calls.length === 1)
      const closing = running.close()
      await until(() => !service.app.server.listening)
      socket.write('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n')
      await until(() => asked.mock.calls.length === 2)
      // In an object, because returning the promise itself would wait for the engine.
      return { closing }
    })
    await Promise.all([closed.closing, once(socket, 'close')])
    expect(answers).toMatch(/^HTTP\/1\.1 200 OK/)
    const refused = answers.slice(answers.indexOf('HTTP/1.1 503 '))
    for (const part of [
      /^retry-after: \d+/im,
      /^content-type: application\/problem\+json/im,
      /"code":"SHUTTING_DOWN"/,
    ])
      expect(refused).toMatch(part)
  })
})
