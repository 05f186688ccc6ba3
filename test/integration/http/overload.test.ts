import { connect } from 'node:net'
import { once } from 'node:events'
import { afterEach, expect, it, vi } from 'vitest'
import type { Answer, PredictionsBody } from '../../support/client.ts'
import { untilRead, whileHalted } from '../../support/halt.ts'
import { arithmeticImage, flowerJpeg, npy, truncatedJpeg } from '../../support/images.ts'
import { slow } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { startService, type RunningService, type Settings } from '../../support/service.ts'

let running: RunningService
afterEach(() => running.close())

const image = npy([1, 64, 64, 3], arithmeticImage([1, 64, 64, 3]))
const predict = (model: string, body = image, type = 'application/x-npy') =>
  running.client.upload(`/v1/models/${model}/predict?top_k=1`, body, type)
const until = (condition: () => boolean) => vi.waitUntil(condition, { interval: 5, timeout: 30_000 })
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN
const queueMs = (answer: Answer) => (answer.json as PredictionsBody).timing_ms.queue

async function start(settings: Settings): Promise<void> {
  running = await startService(settings)
  await running.client.create({ ...slow, name: 'flood' })
  await running.client.create({ ...slow, seed: 1, name: 'trickle' })
}

it('a flood of one model and broken images do not delay other models', async () => {
  // One at a time, so that the engine is the bottleneck, not HTTP, both ends of which run in this process.
  await start({ MAX_QUEUE: '16', MAX_BATCH_SIZE: '1' })
  // Eight clients send valid images beside two that do not.
  const sends = async (body: Buffer) => {
    const answers: Answer[] = []
    for (let call = 0; call < 4; call++) answers.push(await predict('flood', body, 'image/jpeg'))
    return answers
  }
  const bodies = [...Array.from({ length: 8 }, () => flowerJpeg), truncatedJpeg, truncatedJpeg]
  const answers = await Promise.all(bodies.map(sends))
  for (const answer of answers.slice(8).flat()) expectProblem(answer, { status: 422, code: 'INVALID_IMAGE' })
  const good = answers.slice(0, 8).flat()
  expect(new Set(good.map(({ status }) => status))).toEqual(new Set([200]))
  expect(
    new Set(good.map(({ json }) => (json as PredictionsBody).predictions[0]?.classes[0]?.index)).size,
  ).toBe(1)

  // Twice as many clients as the queue holds request one model, and one client another.
  let over = false
  const flood: Answer[] = []
  const callers = Array.from({ length: 32 }, async () => {
    while (!over) flood.push(await predict('flood'))
  })
  await until(() => flood.length > 32)
  const trickle: Answer[] = []
  for (let call = 0; call < 8; call++) trickle.push(await predict('trickle'))
  over = true
  await Promise.all(callers)
  expect(trickle.map(({ status }) => status)).toEqual(new Array(8).fill(200))
  const served = flood.filter(({ status }) => status === 200)
  const refused = flood.filter(({ status }) => status !== 200)
  expect(refused.length).toBeGreaterThan(0)
  for (const answer of refused) {
    expectProblem(answer, { status: 429, code: 'QUEUE_FULL' })
    expect(answer.headers['retry-after']).toMatch(/^[1-9]\d*$/)
  }
  expect(median(trickle.map(queueMs))).toBeLessThan(median(served.map(queueMs)))
})

it('a full queue evicts requests only for a model below its share', async () => {
  await start({ MAX_QUEUE: '6', MAX_BATCH_SIZE: '1', MAX_QUEUE_BYTES: '200000' })
  const { engine } = running.service
  const computed = vi.spyOn(engine, 'predict')
  const pending = await whileHalted(engine.pid, async () => {
    let refused = 0
    const send = async (model: string, body = image) => {
      const answer = await predict(model, body)
      if (answer.status !== 200) refused += 1
      return answer
    }
    // One is computed, and six are queued.
    const flood = Array.from({ length: 7 }, () => send('flood'))
    await until(() => computed.mock.calls.length === 2)
    await untilRead(running.client)
    const more = send('flood')
    await until(() => refused === 1)
    const trickle = [1, 2, 3].map(() => send('trickle'))
    await until(() => refused === 4)
    const fourth = send('trickle')
    await until(() => refused === 5)
    // The head is sufficient: no byte of its body has been sent.
    const socket = connect(Number(new URL(running.client.url).port), '127.0.0.1')
    socket.write(
      'POST /v1/models/flood/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: 1000000\r\n\r\n',
    )
    const [head] = (await once(socket, 'data')) as [Buffer]
    expect(head.toString()).toMatch(/^HTTP\/1\.1 429 /)
    socket.destroy()
    return { flood, more, trickle, fourth }
  })
  const statuses = async (answers: readonly Promise<Answer>[]) =>
    (await Promise.all(answers)).map(({ status }) => status).sort()
  expect(await statuses(pending.flood)).toEqual([200, 200, 200, 200, 429, 429, 429])
  expect(await statuses(pending.trickle)).toEqual([200, 200, 200])
  for (const answer of [pending.more, pending.fourth])
    expectProblem(await answer, {
      status: 429,
      code: 'QUEUE_FULL',
      says: /the limit is 6 \(MAX_QUEUE\); try again in \d+ s/,
    })
})

it('an arriving body counts by its received bytes, while it makes progress', async () => {
  await start({ MAX_QUEUE_BYTES: '20000', REQUEST_TIMEOUT_MS: '2000', STALL_TIMEOUT_MS: '2000' })
  const socket = connect(Number(new URL(running.client.url).port), '127.0.0.1')
  let answered = ''
  socket.on('data', (chunk: Buffer) => (answered += chunk.toString()))
  const head =
    'POST /v1/models/flood/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: 19000\r\n\r\n'
  socket.write(head)
  await until(() => socket.bytesWritten > 0)
  await untilRead(running.client)
  // An announced body reserves nothing.
  expect((await predict('trickle')).status).toBe(200)
  socket.write('a'.repeat(15_000))
  await until(() => socket.bytesWritten > 15_000)
  await untilRead(running.client)
  expectProblem(await predict('trickle'), {
    status: 429,
    code: 'QUEUE_FULL',
    says: /hold 15000 bytes, the limit is 20000/,
  })
  await until(() => answered !== '')
  expect(answered).toMatch(/^HTTP\/1\.1 408 .*REQUEST_TIMEOUT.*STALL_TIMEOUT_MS/s)
  expect((await predict('trickle')).status).toBe(200)
  socket.destroy()
  // An idle service accepts any request.
  const shape = [4, 64, 64, 3]
  expect((await predict('trickle', npy(shape, arithmeticImage(shape)))).status).toBe(200)
})
