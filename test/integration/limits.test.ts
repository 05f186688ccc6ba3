import { once } from 'node:events'
import { Agent, request as httpRequest } from 'node:http'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { arithmeticImage, npy, pixelPng } from '../support/images.ts'
import { slow, tiny } from '../support/networks.ts'
import { expectProblem } from '../support/problems.ts'
import { startService, type RunningService, type Settings } from '../support/service.ts'

let running: RunningService
afterEach(() => running.close())

async function start(settings: Settings): Promise<void> {
  running = await startService(settings)
  await running.client.create({ ...slow, name: 'slow' })
}

const images = (count: number): Buffer => npy([count, 64, 64, 3], arithmeticImage([count, 64, 64, 3]))
const predict = (count: number) =>
  running.client.upload('/v1/models/slow/predict?top_k=1', images(count), 'application/x-npy')

describe('the queue', () => {
  it('takes no more than it may, says when to come back, and is open again then', async () => {
    await start({ MAX_QUEUE: '3', MAX_BATCH_SIZE: '1' })
    const answers = await Promise.all(Array.from({ length: 10 }, () => predict(1)))
    const full = answers.filter(({ status }) => status !== 200)
    // One is computed while three wait; how many more find room is a matter of time.
    expect(full.length).toBeGreaterThan(0)
    expect(answers.length - full.length).toBeGreaterThanOrEqual(4)
    for (const answer of full) {
      expectProblem(answer, { status: 429, code: 'QUEUE_FULL', says: /3 may; try again in \d+ s/ })
      expect(Number(answer.headers['retry-after'])).toBeGreaterThanOrEqual(1)
    }
    expect((await predict(1)).status).toBe(200)
  })

  it('says of a request that never fits how many images do', async () => {
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

  it('forgets a caller who hung up', async () => {
    await start({ MAX_BATCH_SIZE: '1' })
    const computed = vi.spyOn(running.service.engine, 'predict')
    const patience = new AbortController()
    const left = fetch(`${running.client.url}/v1/models/slow/predict`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-npy' },
      body: new Uint8Array(images(20)),
      signal: patience.signal,
    })
    await vi.waitUntil(() => computed.mock.calls.length > 0)
    patience.abort()
    await expect(left).rejects.toThrow(/aborted/)
    expect((await predict(1)).status).toBe(200)
    expect(computed.mock.calls.length).toBeLessThan(20)
  })
})

it('an answer that takes too long is 504, and later ones are on time again', async () => {
  await start({ REQUEST_TIMEOUT_MS: '40', MAX_BATCH_SIZE: '1' })
  const answers = await Promise.all(Array.from({ length: 20 }, () => predict(1)))
  const late = answers.filter(({ status }) => status !== 200)
  expect(late.length).toBeGreaterThan(0)
  for (const answer of late) {
    expectProblem(answer, { status: 504, code: 'DEADLINE_EXCEEDED', says: /REQUEST_TIMEOUT_MS/ })
  }
  await running.client.create({ ...tiny, name: 'tiny' })
  expect(await running.client.logits('tiny', [1, 8, 8, 3], new Uint8Array(192))).toHaveLength(1)
})

it('a network beyond MAX_MODEL_PARAMETERS is planned and built nowhere', async () => {
  running = await startService({ MAX_MODEL_PARAMETERS: '1000' })
  for (const path of ['/v1/models', '/v1/plans']) {
    const answer = await running.client.post(path, { architecture: 'resnet20' })
    expectProblem(answer, {
      status: 422,
      code: 'MODEL_TOO_LARGE',
      pointer: '#/architecture',
      says: /has 272,474 parameters, more than the 1,000 .* raise MAX_MODEL_PARAMETERS/,
    })
  }
})

it('a form that is refused before its end leaves its connection to the next request', async () => {
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

it('a connection that is kept alive serves any number of predictions and leaves nothing behind', async () => {
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
