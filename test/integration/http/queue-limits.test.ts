import { once } from 'node:events'
import { Agent, request as httpRequest } from 'node:http'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Answer } from '../../support/client.ts'
import { whileHalted } from '../../support/halt.ts'
import { arithmeticImage, npy, pixelPng } from '../../support/images.ts'
import { slow } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { startService, type RunningService, type Settings } from '../../support/service.ts'

let running: RunningService
afterEach(() => running.close())

async function start(settings: Settings): Promise<void> {
  running = await startService(settings)
  await running.client.create({ ...slow, name: 'slow' })
}

const images = (count: number): Buffer => npy([count, 64, 64, 3], arithmeticImage([count, 64, 64, 3]))
const predict = (count: number) =>
  running.client.upload('/v1/models/slow/predict?top_k=1', images(count), 'application/x-npy')

/** Waits for a condition on a machine of any load. */
const until = (condition: () => boolean) => vi.waitUntil(condition, { interval: 5, timeout: 20_000 })
const enginePid = () => running.service.engine.pid

describe('the queue', () => {
  it('rejects requests when full, with Retry-After, and accepts them again later', async () => {
    await start({ MAX_QUEUE: '3', MAX_BATCH_SIZE: '1' })
    const refused: Answer[] = []
    const answers = await whileHalted(enginePid(), async () => {
      const calls = Array.from({ length: 10 }, async () => {
        const answer = await predict(1)
        if (answer.status !== 200) refused.push(answer)
        return answer
      })
      // One is computed and three are queued.
      await until(() => refused.length === 6)
      return calls
    })
    expect((await Promise.all(answers)).filter(({ status }) => status === 200)).toHaveLength(4)
    for (const answer of refused) {
      expectProblem(answer, {
        status: 429,
        code: 'QUEUE_FULL',
        says: /the limit is 3 \(MAX_QUEUE\); try again in \d+ s/,
      })
      expect(Number(answer.headers['retry-after'])).toBeGreaterThanOrEqual(1)
    }
    expect((await predict(1)).status).toBe(200)
  })

  it('reports the maximum number of images for a request that can never fit', async () => {
    await start({ MAX_QUEUE: '3' })
    const parts = Array.from({ length: 4 }, () => ({ name: 'images', value: pixelPng, filename: 'a.png' }))
    const instances = parts.map(({ value }) => ({ b64: value.toString('base64') }))
    const path = '/v1/models/slow/predict'
    for (const answer of [
      await predict(4),
      await running.client.form(path, parts),
      await running.client.post(path, { instances }),
    ]) {
      expectProblem(answer, { status: 422, code: 'INVALID_REQUEST', says: /at most 3 images \(MAX_QUEUE\)/ })
      expect(answer.headers).not.toHaveProperty('retry-after')
    }
    expect((await running.client.form(path, parts.slice(1))).status).toBe(200)
  })

  it('releases the permit of a client that disconnects', async () => {
    await start({ MAX_BATCH_SIZE: '1' })
    const { app, engine } = running.service
    const computed = vi.spyOn(engine, 'predict')
    const noticed = new Promise((resolve) => {
      app.server.once('request', (_request, response) => response.once('close', resolve))
    })
    const patience = new AbortController()
    await whileHalted(engine.pid, async () => {
      const left = fetch(`${running.client.url}/v1/models/slow/predict`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-npy' },
        body: new Uint8Array(images(20)),
        signal: patience.signal,
      })
      await until(() => computed.mock.calls.length > 0)
      patience.abort()
      await expect(left).rejects.toThrow(/aborted/)
      await noticed
    })
    expect((await predict(1)).status).toBe(200)
    // The one that was computed, the next one, and the current one.
    expect(computed).toHaveBeenCalledTimes(3)
  })
})

it('a prediction past its deadline is 504 and is not computed; later ones succeed', async () => {
  await start({ REQUEST_TIMEOUT_MS: '1000', MAX_BATCH_SIZE: '1' })
  const computed = vi.spyOn(running.service.engine, 'predict')
  const late = await whileHalted(enginePid(), () => Promise.all([predict(1), predict(1), predict(1)]))
  for (const answer of late) {
    expectProblem(answer, { status: 504, code: 'DEADLINE_EXCEEDED', says: /REQUEST_TIMEOUT_MS/ })
  }
  let asked = 0
  await vi.waitFor(
    async () => {
      asked += 1
      // On a busy machine a second is too short.
      expect((await predict(1)).status).toBe(200)
    },
    { timeout: 30_000 },
  )
  // Of the late ones the first was being computed, and the second was sent ahead.
  expect(computed.mock.calls.length).toBeLessThanOrEqual(2 + asked)
})

it('a network above MAX_MODEL_PARAMETERS is neither planned nor built', async () => {
  running = await startService({ MAX_MODEL_PARAMETERS: '1000' })
  for (const path of ['/v1/models', '/v1/plans']) {
    const answer = await running.client.post(path, { architecture: 'resnet20' })
    expectProblem(answer, {
      status: 422,
      code: 'MODEL_TOO_LARGE',
      pointer: '#/architecture',
      says: /has 272,474 parameters, more than the limit of 1,000; .* raise MAX_MODEL_PARAMETERS/,
    })
  }
})

it('a connection survives a form that is rejected before its end', async () => {
  await start({})
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const call = async (method: string, path: string, body: string): Promise<number> => {
    const headers = method === 'POST' ? { 'content-type': 'multipart/form-data; boundary=x' } : {}
    const request = httpRequest(`${running.client.url}${path}`, { agent, method, headers }).end(body)
    const [response] = (await once(request, 'response')) as [NodeJS.ReadableStream & { statusCode: number }]
    response.resume()
    await once(response, 'end')
    return response.statusCode
  }
  const field = '--x\r\nContent-Disposition: form-data; name="top_k"\r\n\r\n1\r\n'
  const file = `--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n${'a'.repeat(4e6)}\r\n--x--\r\n`
  for (const path of ['/v1/models', '/v1/models/slow/predict']) {
    expect(await call('POST', path, field + file)).toBe(422)
    expect(await call('GET', '/livez', '')).toBe(200)
  }
  agent.destroy()
})

it('a kept-alive connection serves any number of predictions without a leak', async () => {
  await start({})
  const warnings: Error[] = []
  const warned = (warning: Error): number => warnings.push(warning)
  process.on('warning', warned)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  for (let call = 0; call < 15; call += 1) {
    const request = httpRequest(`${running.client.url}/v1/models/slow/predict`, {
      agent,
      method: 'POST',
      headers: { 'content-type': 'application/x-npy' },
    })
    request.end(images(1))
    const [response] = (await once(request, 'response')) as [NodeJS.ReadableStream & { statusCode: number }]
    expect(response.statusCode).toBe(200)
    response.resume()
    await once(response, 'end')
  }
  agent.destroy()
  process.off('warning', warned)
  expect(warnings).toEqual([])
})

describe('bodies of requests other than predictions', () => {
  it('hold at most MAX_QUEUE_BYTES, and do not block predictions', async () => {
    await start({ MAX_QUEUE_BYTES: '1000000' })
    const head = { 'content-type': 'application/json', 'content-length': '960000' }
    const asked = httpRequest(`${running.client.url}/v1/plans`, { method: 'POST', headers: head })
    asked.on('error', () => undefined)
    const seen = once(running.service.app.server, 'request')
    asked.write(' '.repeat(950_000))
    await seen
    const long = { architecture: 'resnet18', labels: ['x'.repeat(100_000)] }
    const refused = await vi.waitFor(async () => {
      const answer = await running.client.post('/v1/plans', long)
      expectProblem(answer, { status: 429, code: 'QUEUE_FULL', says: /requests hold 950000 bytes/ })
      return answer
    })
    expect(refused.headers['retry-after']).toBe('1')
    expect((await running.client.post('/v1/plans', { architecture: 'resnet18' })).status).toBe(200)
    expect((await predict(20)).status).toBe(200)
    asked.destroy()
    await vi.waitUntil(async () => (await running.client.post('/v1/plans', long)).status === 422)
  })
})
