import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Answer, PredictionsBody } from '../../support/client.ts'
import { untilRead, whileHalted } from '../../support/halt.ts'
import {
  arithmeticImage,
  flowerJpeg,
  flowerWebp,
  halfTransparentPng,
  npy,
  pixelPng,
} from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { expectLogits } from '../../support/numbers.ts'
import { expectProblem } from '../../support/problems.ts'
import { startService, type RunningService } from '../../support/service.ts'

let running: RunningService
let id: string
beforeAll(async () => {
  running = await startService({ MAX_BATCH_SIZE: '4' })
  id = (await running.client.create({ ...tiny, name: 'net', labels: ['a', 'b', 'c', 'd', 'e'] })).id
})
afterAll(() => running.close())

const predict = (body: Buffer, type?: string, query = ''): Promise<Answer> =>
  running.client.upload(`/v1/models/net/predict${query}`, body, type)
const bodyOf = ({ status, json }: Answer): PredictionsBody => {
  expect(status).toBe(200)
  return json as PredictionsBody
}
const logitsOf = (answer: Answer): number[][] =>
  bodyOf(answer).predictions.map(({ logits = [] }) => logits.map(Number))

describe('an image', () => {
  it('gets its classes, most probable first, with timings', async () => {
    const answer = await predict(flowerJpeg, 'image/jpeg', '?include=logits,probabilities,features')
    const { model, predictions, timing_ms: timing, batch_size } = bodyOf(answer)
    const [{ classes, probabilities = [], logits = [], features = [], entropy, finite, image }] =
      predictions as [PredictionsBody['predictions'][number]]
    expect([model, batch_size, finite]).toEqual([id, 1, true])
    expect(image).toEqual({ width: 320, height: 214, format: 'jpeg' })
    expect(classes.map(({ label }) => label)).toEqual(classes.map(({ index }) => 'abcde'[index]))
    expect(classes.map(({ logit }) => logit)).toEqual([...logits].sort((a, b) => b - a))
    expect(classes.map(({ index }) => logits[index])).toEqual(classes.map(({ logit }) => logit))
    const sum = probabilities.reduce<number>((total, p) => total + p, 0)
    expect(sum).toBeCloseTo(1, 5)
    const exact = probabilities.reduce<number>((total, p) => total - p * Math.log(p), 0)
    expect(entropy).toBeCloseTo(exact, 5)
    expect(features).toHaveLength(4)
    expect(timing.total).toBeGreaterThanOrEqual(timing.compute)
    expect(answer.headers['server-timing']).toMatch(
      /^decode;dur=[\d.]+, queue;dur=[\d.]+, compute;dur=[\d.]+$/,
    )
  })

  it.each([
    ['image/webp', flowerWebp, { width: 96, height: 64, format: 'webp' }],
    ['image/png', pixelPng, { width: 1, height: 1, format: 'png' }],
    [undefined, flowerJpeg, { width: 320, height: 214, format: 'jpeg' }],
    ['application/octet-stream', flowerWebp, { width: 96, height: 64, format: 'webp' }],
    ['application/x-www-form-urlencoded', flowerJpeg, { width: 320, height: 214, format: 'jpeg' }],
    ['image/png', flowerJpeg, { width: 320, height: 214, format: 'jpeg' }],
    [
      'application/octet-stream',
      npy([8, 8, 3], arithmeticImage([8, 8, 3])),
      { width: 8, height: 8, format: 'npy uint8' },
    ],
  ])('is accepted with the type %s', async (type, bytes, image) => {
    expect(bodyOf(await predict(bytes, type)).predictions).toMatchObject([{ image }])
  })

  it('gets top_k classes, at most the number of classes', async () => {
    for (const [asked, given] of [
      [1, 1],
      [3, 3],
      [100, 5],
    ]) {
      const { predictions } = bodyOf(await predict(flowerJpeg, 'image/jpeg', `?top_k=${String(asked)}`))
      expect(predictions[0]?.classes).toHaveLength(given ?? 0)
      expect(predictions[0]).not.toHaveProperty('logits')
    }
  })
})

describe('labels', () => {
  const labelsOf = async (model: string, query: string): Promise<unknown[]> => {
    const answer = await running.client.upload(`/v1/models/${model}/predict${query}`, pixelPng)
    return bodyOf(answer).predictions[0]?.classes.map(({ index, label }) => [index, label]) ?? []
  }

  it('of a request replace those of the specification and leave the id', async () => {
    const { id: plain } = await running.client.create({ ...tiny, classes: 10, name: 'ten' })
    const names = 'airplane automobile bird cat deer dog frog horse ship truck'.split(' ')
    const classes = await labelsOf('ten', '?labels=cifar10&top_k=10')
    expect(classes).toHaveLength(10)
    for (const [index, label] of classes as [number, string][]) expect(label).toBe(names[index])
    expect((await labelsOf('ten', '')).every((pair) => (pair as unknown[])[1] === null)).toBe(true)
    expect((await labelsOf('net', '?labels=none')).every((pair) => (pair as unknown[])[1] === null)).toBe(
      true,
    )
    expect((await running.client.get('/v1/models/ten')).json).toMatchObject({ id: plain })
  })

  it('of another number of classes are an error that states both numbers', async () => {
    expectProblem(await predict(pixelPng, 'image/png', '?labels=imagenet'), {
      status: 422,
      code: 'INVALID_REQUEST',
      pointer: '#/labels',
      says: /imagenet has 1000 classes, this model has 5/,
    })
  })
})

describe('several images', () => {
  const images = [flowerJpeg, pixelPng, flowerWebp, halfTransparentPng, pixelPng, flowerJpeg]
  const widths = [320, 1, 96, 64, 1, 320]
  const alone = () =>
    Promise.all(
      images.map(
        async (image) => logitsOf(await predict(image, undefined, '?include=logits&batch=false'))[0],
      ),
    )

  it('of a form are answered in order, beyond one batch too', async () => {
    const parts = images.map((value, index) => ({ name: 'images', value, filename: String(index) }))
    const answer = await running.client.form('/v1/models/net/predict?include=logits', parts)
    const { predictions, batch_size } = bodyOf(answer)
    expect(predictions.map(({ image }) => image.width)).toEqual(widths)
    expect(batch_size).toBe(4)
    for (const [index, wanted] of (await alone()).entries())
      expectLogits(logitsOf(answer)[index] ?? [], wanted ?? [])
  })

  it.each(['application/json', 'application/x-www-form-urlencoded', undefined])(
    'in JSON are answered in order, with the type %s',
    async (type) => {
      const instances = images.map((image) => ({ b64: image.toString('base64') }))
      const answer = await predict(Buffer.from(JSON.stringify({ instances })), type, '?include=logits')
      for (const [index, wanted] of (await alone()).entries())
        expectLogits(logitsOf(answer)[index] ?? [], wanted ?? [])
    },
  )

  it('of an array are answered in order, and floats enter unchanged', async () => {
    const shape = [3, 8, 8, 3]
    const pixels = arithmeticImage(shape)
    const fromPixels = logitsOf(await predict(npy(shape, pixels), 'application/x-npy', '?include=logits'))
    const floats = Float32Array.from(pixels, (value) => Math.fround(value / 255))
    const fromFloats = logitsOf(await predict(npy(shape, floats), 'application/x-npy', '?include=logits'))
    expect(fromPixels).toHaveLength(3)
    fromPixels.forEach((wanted, row) => {
      expectLogits(fromFloats[row] ?? [], wanted)
    })
    expect(fromPixels[0]).not.toEqual(fromPixels[1])
  })

  it('of several requests share a batch, unless batch=false', async () => {
    const { client, service } = running
    const pixels = npy([8, 8, 3], arithmeticImage([8, 8, 3]))
    const sizes = async (queries: readonly string[]): Promise<number[]> => {
      const computed = vi.spyOn(service.engine, 'predict')
      const calls = await whileHalted(service.engine.pid, async () => {
        const first = predict(pixels, 'application/x-npy')
        await vi.waitUntil(() => computed.mock.calls.length === 1, { interval: 5, timeout: 20_000 })
        const others = queries.map((query) => predict(pixels, 'application/x-npy', query))
        await untilRead(client)
        return [first, ...others]
      })
      const answers = await Promise.all(calls)
      computed.mockRestore()
      return answers.map((answer) => bodyOf(answer).batch_size).sort()
    }
    const nine = Array.from({ length: 9 }, (_, index) => index)
    const [ones, fours] = [nine.map(() => 1), nine.map(() => 4)]
    expect(await sizes(nine.map(() => ''))).toEqual([1, 1, ...fours.slice(1)])
    // batch=false applies also behind a request that would share its batch.
    const mixed = nine.map((index) => (index % 2 === 0 ? '' : '?batch=false'))
    expect(await sizes(mixed)).toEqual([...ones.slice(3), ...fours.slice(5)])
  })
})

it('is not finite for non-finite input, row by row', async () => {
  const rows = [0, Number.NaN, 1, Number.POSITIVE_INFINITY]
  const values = Float32Array.from({ length: 4 * 192 }, (_, index) =>
    index % 192 === 7 ? (rows[(index / 192) | 0] ?? 0) : 0.5,
  )
  const { predictions } = bodyOf(await predict(npy([4, 8, 8, 3], values), 'application/x-npy'))
  expect(predictions.map(({ finite }) => finite)).toEqual([true, false, true, false])
})

it('has NaN and infinities as strings', async () => {
  // Overflow, not NaN pixels: whether max(0, NaN) is NaN depends on the processor.
  await running.client.create({
    ...tiny,
    architecture: { ...tiny.architecture, norm: 'none' },
    initializers: { kernel: 'ones', dense_kernel: { class_name: 'Constant', config: { value: 3e38 } } },
    name: 'overflowing',
  })
  const answer = await running.client.upload(
    '/v1/models/overflowing/predict?include=logits',
    npy([8, 8, 3], new Uint8Array(8 * 8 * 3).fill(255)),
    'application/x-npy',
  )
  const [prediction] = bodyOf(answer).predictions
  expect(prediction).toMatchObject({
    finite: false,
    entropy: 'NaN',
    logits: ['Infinity', 'Infinity', 'Infinity', 'Infinity', 'Infinity'],
  })
  expect(prediction?.classes[0]).toMatchObject({ logit: 'Infinity', probability: 'NaN' })
})
