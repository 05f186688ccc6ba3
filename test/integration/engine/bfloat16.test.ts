import { afterAll, beforeAll, expect, it } from 'vitest'
import { advisePrecision } from '../../../src/http/native/model-view.ts'
import type { ModelBody } from '../../support/client.ts'
import { arithmeticImage } from '../../support/images.ts'
import { slow, tiny, withScalars } from '../../support/networks.ts'
import { startService, type RunningService } from '../../support/service.ts'

let running: RunningService
beforeAll(async () => {
  running = await startService()
})
afterAll(() => running.close())

const images = (count: number, size: number) => arithmeticImage([count, size, size, 3], 5)

/** Largest difference of two images' logits, over the largest logit. */
function difference(rows: number[][], others: number[][]): number {
  const flat = rows.flat()
  const scale = Math.max(...flat.map(Math.abs))
  return Math.max(...others.flat().map((value, index) => Math.abs(value - (flat[index] ?? 0)) / scale))
}

const of = (architecture: object) => ({
  ...slow,
  architecture: { ...slow.architecture, ...architecture },
  initializers: { kernel: 'he_normal' },
})
const networks = {
  'post-activation': of({}),
  'pre-activation': of({ version: 'v2' }),
  'with biases and no norm': of({ norm: 'none' }),
  'with average pools and a flattened head': of({
    stem: { ...slow.architecture.stem, pool: { type: 'average' } },
    head: { pool: { type: 'average', size: 4, strides: 4 } },
  }),
  'with scalars': withScalars(slow),
}

it.each(Object.entries(networks))('%s: logits equal float32 logits within 2 %%', async (_, request) => {
  const [single, half] = [
    await running.client.create(request),
    await running.client.create({ ...request, precision: 'bfloat16' }),
  ]
  expect(half.id).not.toBe(single.id)
  expect(half.seal).not.toBe(single.seal)
  const [rows, others] = [
    await running.client.logits(single.id, [3, 64, 64, 3], images(3, 64)),
    await running.client.logits(half.id, [3, 64, 64, 3], images(3, 64)),
  ]
  expect(difference(rows, others)).toBeLessThan(0.02)
  expect(difference(rows, others)).toBeGreaterThan(0)
  const tops = (logits: number[][]) => logits.map((row) => row.indexOf(Math.max(...row)))
  expect(tops(others)).toEqual(tops(rows))
})

it('the true parameters are the same float32 numbers, drawn or loaded', async () => {
  const single = await running.client.create(tiny)
  const half = await running.client.create({ ...tiny, precision: 'bfloat16', name: 'half' })
  const { weights_sha256 } = await running.client.withDigest(half.id)
  expect(weights_sha256).toBe((await running.client.withDigest(single.id)).weights_sha256)

  const file = (await running.client.get('/v1/models/half/weights')).bytes
  const answer = await running.client.form('/v1/models', [
    { name: 'spec', value: JSON.stringify({ ...tiny, precision: 'bfloat16' }) },
    { name: 'weights', value: file, filename: 'weights.safetensors' },
  ])
  const loaded = answer.json as ModelBody
  expect(loaded).toMatchObject({ weights: 'loaded', seal: half.seal })
  const pixels = images(2, 8)
  expect(await running.client.logits(loaded.id, [2, 8, 8, 3], pixels)).toEqual(
    await running.client.logits('half', [2, 8, 8, 3], pixels),
  )
})

it('a plan and a model report a processor without bfloat16', async () => {
  const { spec: specification } = (await running.client.get('/v1/models/half')).json as ModelBody
  const info = await running.service.engine.info()
  expect(advisePrecision(specification, { ...info, multiplies_bfloat16: true })).toEqual([])
  const said = advisePrecision(specification, { ...info, multiplies_bfloat16: false })
  expect(said).toEqual([
    expect.stringMatching(/no bfloat16 multiplication.*2\.7 times.*use "precision": "float32"/),
  ])
  const expected = info.multiplies_bfloat16 ? [] : said
  const plan = await running.client.post('/v1/plans', { ...tiny, precision: 'bfloat16' })
  const model = await running.client.get('/v1/models/half')
  expect([plan, model].map(({ json }) => (json as { advice: string[] }).advice)).toEqual([expected, expected])
})
