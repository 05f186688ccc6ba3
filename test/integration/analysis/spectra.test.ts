import type { Static } from 'typebox'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ModelStatistics } from '../../../src/http/shared/model-schemas.ts'
import type { TensorStatistics } from '../../../src/analysis/contract.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { startService, type RunningService } from '../../support/service.ts'

let running: RunningService
beforeAll(async () => {
  running = await startService()
})
afterAll(() => running.close())

async function recordOf(name: string, body: object): Promise<TensorStatistics> {
  const answer = await running.client.post(`/v1/initializers/${name}/statistics`, body)
  expect(answer.status, answer.bytes.toString().slice(0, 500)).toBe(200)
  return answer.json as TensorStatistics
}
async function statistics(path: string): Promise<Static<typeof ModelStatistics>> {
  return (await running.client.get(`/v1/models/${path}`)).json as Static<typeof ModelStatistics>
}

describe('the spectrum of a kernel', () => {
  it('lies between the edges of independent entries, and keeps their sum of squares', async () => {
    for (const shape of [
      [3, 3, 64, 64],
      [1, 1, 64, 512],
    ]) {
      const { spectrum, sample } = await recordOf('he_normal', { shape, include: 'spectrum' })
      const values = spectrum?.singular_values ?? []
      expect(values).toHaveLength(64)
      expect(values).toEqual(values.slice().sort((a, b) => b - a))
      expect(Math.hypot(...values)).toBeCloseTo(sample.l2_norm, 5)
      const { min = NaN, max = NaN } = spectrum?.marchenko_pastur ?? {}
      expect(values[0]).toBeGreaterThan(0.93 * max)
      expect(values[0]).toBeLessThan(1.05 * max)
      expect(values.at(-1)).toBeGreaterThan(0.95 * min)
      expect(values.at(-1)).toBeLessThan(1.15 * min)
      expect(spectrum?.condition_number).toBeCloseTo((values[0] ?? NaN) / (values.at(-1) ?? NaN), 6)
    }
  })

  it('is flat for an orthogonal law, which is always reported', async () => {
    for (const [shape, rank] of [
      [[3, 3, 16, 32], 32],
      [[1, 1, 16, 64], 16],
    ] as const) {
      const config = { gain: 1.5 }
      const plain = await recordOf('orthogonal', { shape, config })
      expect(plain).toMatchObject({ tests: null, exact: null })
      expect(plain.orthogonality_error).toBeGreaterThan(0)
      expect(plain.orthogonality_error).toBeLessThan(1e-5)
      expect(plain.spectrum).toBeUndefined()
      const { spectrum } = await recordOf('orthogonal', { shape, config, include: ['spectrum'] })
      expect(spectrum?.orthogonality_error).toBe(plain.orthogonality_error)
      expect(spectrum?.condition_number).toBeCloseTo(1, 5)
      expect(spectrum?.spectral_norm).toBeCloseTo(1.5, 5)
      expect(spectrum?.effective_rank).toBeCloseTo(rank, 5)
    }
  })

  it.each([
    ['ConvolutionDeltaOrthogonal', [3, 3, 6, 9]],
    ['ConvolutionOrthogonal1D', [4, 6, 6]],
    ['ConvolutionOrthogonal2D', [3, 3, 6, 9]],
    ['ConvolutionOrthogonal3D', [2, 2, 2, 5, 6]],
  ])('of %s is reported by inputs, always', async (name, shape) => {
    const { orthogonality_error, tests } = await recordOf(name, { shape, config: { gain: 1.5 } })
    expect(tests).toBeNull()
    expect(orthogonality_error).toBeGreaterThan(0)
    expect(orthogonality_error).toBeLessThan(1e-6)
  })

  it('is null below rank 2', async () => {
    expect(await recordOf('he_normal', { shape: [64], include: 'spectrum' })).not.toHaveProperty('spectrum')
  })

  it('above its cost limit is rejected with the cure', async () => {
    const body = { shape: [123_904, 1000], include: 'spectrum' }
    const refused = { status: 422, code: 'INVALID_REQUEST', pointer: '#/include' } as const
    const answer = await running.client.post('/v1/initializers/glorot_uniform/statistics', body)
    expectProblem(answer, {
      ...refused,
      says: /2\.5e\+11 operations, more than 2\.0e\+11; omit the spectrum of \[123904, 1000\]/,
    })
    const wide = { shape: [2, 2 ** 25], include: 'spectrum' }
    expectProblem(await running.client.post('/v1/initializers/zeros/statistics', wide), {
      ...refused,
      says: /6\.7e\+7 values in memory, more than 3\.4e\+7/,
    })
  })
})

describe('the spectrum of a convolution', () => {
  it('is wide for an orthogonal flattened kernel, and wider for independent entries', async () => {
    const ask = { shape: [3, 3, 8, 16], include: 'spectrum,operator_spectrum' }
    const orthogonal = await recordOf('orthogonal', ask)
    expect(orthogonal.spectrum?.condition_number).toBeCloseTo(1, 5)
    expect(orthogonal.operator_spectrum).toMatchObject({ grid: [8, 8] })
    const [{ min = NaN, max = NaN } = {}, he] = [
      orthogonal.operator_spectrum,
      (await recordOf('he_normal', ask)).operator_spectrum,
    ]
    expect(min).toBeGreaterThan(0.35)
    expect(min).toBeLessThan(0.55)
    expect(max).toBeGreaterThan(2.1)
    expect(max).toBeLessThan(2.5)
    expect((he?.max ?? NaN) - (he?.min ?? NaN)).toBeGreaterThan(1.3 * (max - min))
  })

  it('equals the spectrum of the flattened kernel for one tap', async () => {
    const { spectrum, operator_spectrum } = await recordOf('he_uniform', {
      shape: [1, 1, 8, 24],
      include: ['spectrum', 'operator_spectrum'],
    })
    expect(operator_spectrum?.grid).toEqual([1, 1])
    expect(operator_spectrum?.max).toBeCloseTo(spectrum?.spectral_norm ?? NaN, 5)
    expect(operator_spectrum?.min).toBeCloseTo(spectrum?.singular_values.at(-1) ?? NaN, 5)
  })

  it('is null for a matrix', async () => {
    const record = await recordOf('he_normal', { shape: [8, 8], include: 'operator_spectrum' })
    expect(record).not.toHaveProperty('operator_spectrum')
  })
})

describe('statistics of a model', () => {
  it('flag parameters that are equal to the byte', async () => {
    const same = { class_name: 'GlorotUniform', config: { seed: 42 } }
    await running.client.create({ ...tiny, initializers: { kernel: same }, name: 'twins' })
    const { totals } = await statistics('twins/statistics')
    const twins = ['stage1/block1/conv1/kernel', 'stage1/block1/conv2/kernel']
    expect(totals.duplicates).toEqual([twins])
    expect(totals.flagged).toEqual(expect.arrayContaining(twins))
  })

  it('compare a model with another, and with itself', async () => {
    const [a] = await Promise.all(
      [1, 2].map((seed) => running.client.create({ ...tiny, seed, name: `net${String(seed)}` })),
    )
    const self = await statistics('net1/statistics?relative_to=net1')
    expect(self).toMatchObject({ relative_to: a?.id, totals: { relative: { l2_distance: 0, cosine: 1 } } })
    for (const { relative } of self.parameters) expect(relative).toEqual({ l2_distance: 0, cosine: 1 })
    const { parameters, totals } = await statistics('net1/statistics?relative_to=net2')
    const kernel = parameters.find(({ name }) => name === 'stage1/block1/conv1/kernel')
    // Independent draws are nearly orthogonal, at a distance of sqrt(2).
    expect(Math.abs(Number(kernel?.relative?.cosine))).toBeLessThan(0.35)
    expect(kernel?.relative?.l2_distance).toBeGreaterThan(1)
    expect(totals.relative?.l2_distance).toBeGreaterThan(0)
    expect((await statistics('net1/statistics')).totals).not.toHaveProperty('relative')
  })

  it('compare only models with the same names and shapes', async () => {
    await running.client.create({ ...tiny, classes: 6, name: 'six' })
    const answer = await running.client.get('/v1/models/net1/statistics?relative_to=six')
    expectProblem(answer, {
      ...{ status: 422, code: 'INVALID_REQUEST', pointer: '#/relative_to' },
      says: /head\/dense\/kernel is \[4, 5\] here, \[4, 6\] there/,
    })
    const shared = await running.client.get('/v1/models/net1/statistics?relative_to=six&parameters=stage1/**')
    expect(shared.status).toBe(200)
    const unknown = await running.client.get('/v1/models/net1/statistics?relative_to=nobody')
    expectProblem(unknown, { status: 404, code: 'MODEL_NOT_FOUND' })
  })

  it('are cached as bytes, also for concurrent requests', async () => {
    const path = '/v1/models/net2/statistics?include=spectrum,quantiles'
    const answers = await Promise.all([1, 2, 3].map(() => running.client.get(path)))
    const again = await running.client.get(path)
    expect(again.headers['content-type']).toMatch(/^application\/json/)
    for (const { bytes } of answers) expect(bytes.equals(again.bytes)).toBe(true)
    expect((await running.client.get('/v1/models/net2/statistics')).bytes.equals(again.bytes)).toBe(false)
    await running.client.delete('/v1/models/net2')
    expectProblem(await running.client.get(path), { status: 404, code: 'MODEL_NOT_FOUND' })
  })
})
