import { createHash } from 'node:crypto'
import type { Static } from 'typebox'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ModelStatistics } from '../../../src/http/shared/model-schemas.ts'
import { tiny } from '../../support/networks.ts'
import { normalTails } from '../../support/numbers.ts'
import { expectProblem } from '../../support/problems.ts'
import { parseSafetensors } from '../../support/safetensors.ts'
import { startService, type RunningService } from '../../support/service.ts'

type Statistics = Static<typeof ModelStatistics>

let running: RunningService
let all: Statistics
const weights = new Map<string, Buffer>()
beforeAll(async () => {
  running = await startService()
  const initializers = {
    kernel: 'he_normal',
    dense_kernel: 'glorot_uniform',
    overrides: [{ match: '**/conv2/kernel', initializer: 'orthogonal' }],
  }
  await running.client.create({ ...tiny, initializers, seed: 7, name: 'net' })
  all = await statistics()
  const { bytes } = await running.client.get('/v1/models/net/weights')
  for (const [name, tensor] of parseSafetensors(bytes).tensors) weights.set(name, tensor.bytes)
})
afterAll(() => running.close())

async function statistics(query = ''): Promise<Statistics> {
  return (await running.client.get(`/v1/models/net/statistics${query}`)).json as Statistics
}
function recordOf(name: string) {
  const record = all.parameters.find((parameter) => parameter.name === name)
  if (!record) throw new Error(`there is no record of ${name}`)
  return record
}
function valuesOf(name: string): number[] {
  return [...new Float32Array(Uint8Array.from(weights.get(name) ?? []).buffer)]
}
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
const digestOf = (names: readonly string[]): string => {
  const hash = createHash('sha256')
  for (const name of names) hash.update(weights.get(name) ?? '')
  return hash.digest('hex')
}

describe('the records', () => {
  it('cover the trainable parameters, under the names of the exported graph', () => {
    const trainable = [...weights.keys()].filter((name) => !/moving_(mean|variance)$/.test(name))
    expect(trainable).toContain('stem/norm/gamma')
    expect(all.parameters.map(({ name }) => name)).toEqual(trainable)
    for (const { name, tensor_name } of all.parameters) {
      expect(tensor_name).toBe(`residual_network/${name}:0`)
    }
  })

  it('have the moments of the actual values', () => {
    for (const { name, size, sample } of all.parameters) {
      const values = valuesOf(name)
      const mean = sum(values) / values.length
      const power = (k: number) => sum(values.map((value) => (value - mean) ** k)) / values.length
      expect(size).toBe(values.length)
      expect(sample).toMatchObject({
        min: Math.min(...values),
        max: Math.max(...values),
        zeros: values.filter((value) => value === 0).length,
        non_finite: 0,
        sha256: digestOf([name]),
      })
      expect(sample.mean).toBeCloseTo(mean, 10)
      expect(sample.variance).toBeCloseTo(power(2), 10)
      expect(sample.std).toBeCloseTo(Math.sqrt(power(2)), 10)
      expect(sample.l2_norm).toBeCloseTo(Math.hypot(...values), 10)
      if (power(2) > 0) {
        expect(sample.skewness).toBeCloseTo(power(3) / power(2) ** 1.5, 8)
        expect(sample.kurtosis).toBeCloseTo(power(4) / power(2) ** 2 - 3, 8)
      }
    }
  })

  it('compare them with theory: a truncated normal by fans', () => {
    const record = recordOf('stage1/block1/conv1/kernel')
    const { theory, sample, tests } = record
    // He: variance 2 / fan_in after truncation at two standard deviations of the sampled normal.
    const [fanIn, std] = [3 * 3 * 4, Math.sqrt(2 / (3 * 3 * 4))]
    expect(record).toMatchObject({
      initializer: { class_name: 'HeNormal', config: { seed: [7, 1] } },
      ...{ shape: [3, 3, 4, 4], fan_in: fanIn, fan_out: fanIn, dtype: 'float32' },
    })
    expect(theory).toMatchObject({ distribution: 'truncated_normal', mean: 0, skewness: 0 })
    expect(theory?.std).toBeCloseTo(std, 12)
    expect(theory?.max).toBeCloseTo((2 * std) / 0.8796256610342398, 7)
    expect(theory?.min).toBe(-Number(theory?.max))
    expect(theory?.kurtosis).toBeCloseTo(-0.63446, 5)
    const n = 3 * 3 * 4 * 4
    expect(tests?.mean_z).toBeCloseTo((sample.mean / std) * Math.sqrt(n), 8)
    const error = Math.sqrt((2 - 0.63446328) / n)
    expect(tests?.variance_z).toBeCloseTo((sample.variance / std ** 2 - 1) / error, 6)
    expect(tests?.ks.sample_size).toBe(n)
  })

  it('compare them with theory: a uniform distribution, its distance and its p', () => {
    const { theory, tests } = recordOf('head/dense/kernel')
    const limit = Math.sqrt(6 / (4 + 5))
    expect(theory).toMatchObject({ distribution: 'uniform', mean: 0, kurtosis: -1.2 })
    expect(theory?.max).toBeCloseTo(limit, 7)
    const values = valuesOf('head/dense/kernel').sort((a, b) => a - b)
    const n = values.length
    const steps = values.flatMap((value, index) => {
      const share = (value + limit) / (2 * limit)
      return [share - index / n, (index + 1) / n - share]
    })
    const distance = Math.max(...steps)
    expect(tests?.ks.statistic).toBeCloseTo(distance, 6)
    const lambda = (Math.sqrt(n) + 0.12 + 0.11 / Math.sqrt(n)) * distance
    const terms = Array.from({ length: 50 }, (_, j) => (-1) ** j * Math.exp(-2 * ((j + 1) * lambda) ** 2))
    expect(tests?.ks.p_value).toBeCloseTo(2 * sum(terms), 5)
  })

  it('have no tests for entries that are not independent draws', () => {
    const names = all.parameters.filter(({ tests }) => tests !== null).map(({ name }) => name)
    expect(names).toEqual(['stem/conv/kernel', 'stage1/block1/conv1/kernel', 'head/dense/kernel'])
    expect(recordOf('stage1/block1/conv2/kernel').theory?.distribution).toBe('orthogonal')
  })
})

describe('the totals', () => {
  it('are sums, a digest of all bytes, and the smallest p', () => {
    const names = all.parameters.map(({ name }) => name)
    const values = names.flatMap(valuesOf)
    expect(all.totals).toMatchObject({
      count: names.length,
      size: values.length,
      zeros: values.filter((value) => value === 0).length,
      sha256: digestOf(names),
      flagged: [],
    })
    expect(all.totals.l2_norm).toBeCloseTo(Math.hypot(...values), 8)
    const ps = all.parameters.flatMap(({ tests }) =>
      tests ? [...[tests.mean_z, tests.variance_z].map(Number).map(normalTails), tests.ks.p_value] : [],
    )
    // Holm multiplies the smallest by their number.
    expect(ps).toHaveLength(9)
    expect(all.totals.smallest_p_holm).toBeCloseTo(Math.min(1, 9 * Math.min(...ps)), 6)
    expect(all.totals.smallest_p_holm).toBeGreaterThan(0.001)
  })

  it('cover the parameters that match a glob', async () => {
    const { parameters, totals } = await statistics('?parameters=stage1/**/kernel')
    const names = ['stage1/block1/conv1/kernel', 'stage1/block1/conv2/kernel']
    expect(parameters).toEqual(names.map(recordOf))
    expect(totals).toMatchObject({ count: 2, size: 288, sha256: digestOf(names) })
    const one = await statistics('?parameters=*/dense/bias')
    expect(one.totals).toMatchObject({ count: 1, size: 5, zeros: 5, l2_norm: 0, smallest_p_holm: null })
  })
})

describe('as CSV', () => {
  it('has one line for each parameter, equal to the records', async () => {
    const answer = await running.client.get('/v1/models/net/statistics', { accept: 'text/csv' })
    expect(answer.status).toBe(200)
    expect(answer.headers['content-type']).toBe('text/csv; charset=utf-8; header=present')
    const [header = [], ...rows] = answer.bytes
      .toString()
      .trimEnd()
      .split('\r\n')
      .map((line) => line.split(','))
    const { parameters, totals } = await statistics()
    const cells = rows.map((row) => Object.fromEntries(header.map((name, index) => [name, row[index]])))
    expect(cells).toEqual(
      parameters.map(
        (record) =>
          expect.objectContaining({
            name: record.name,
            shape: record.shape.join('x'),
            std: String(record.sample.std),
            sha256: record.sample.sha256,
            kurtosis: record.sample.kurtosis === null ? '' : String(record.sample.kurtosis),
            flagged: String(totals.flagged.includes(record.name)),
          }) as unknown,
      ),
    )
  })

  it('is not available as another type', async () => {
    const answer = await running.client.get('/v1/models/net/statistics', { accept: 'text/html' })
    expectProblem(answer, { status: 406, code: 'NOT_ACCEPTABLE', says: /text\/csv/ })
  })
})

describe('include', () => {
  it('adds the named parts only', async () => {
    const keys = async (query: string): Promise<string[]> =>
      Object.keys((await statistics(query)).parameters[0] ?? {})
    const plain = await keys('')
    const added = async (query: string): Promise<string[]> =>
      (await keys(query)).filter((key) => !plain.includes(key)).sort()
    expect(plain).not.toContain('histogram')
    expect(await added('?include=histogram')).toEqual(['histogram'])
    expect(await added('?include=quantiles')).toEqual(['quantiles', 'quantiles_sample_size'])
    expect(await added('?include=histogram,quantiles')).toHaveLength(3)
    const answer = await running.client.get('/v1/models/net/statistics?include=histogramm')
    expectProblem(answer, { status: 422, code: 'INVALID_REQUEST', pointer: '#/include', says: /histogram/ })
  })

  it('counts values in bins beside the expected counts, and ranks them', async () => {
    const query = '?parameters=head/dense/kernel&include=histogram,quantiles&bins=4'
    const [record] = (await statistics(query)).parameters
    const values = valuesOf('head/dense/kernel').sort((a, b) => a - b)
    const { edges = [], counts = [], expected } = record?.histogram ?? {}
    const within = (index: number) => (value: number) =>
      value >= Number(edges[index]) && value < Number(edges[index + 1])
    expect(edges).toHaveLength(5)
    expect(counts).toEqual([0, 1, 2, 3].map((index) => values.filter(within(index)).length))
    expect(expected?.map(Number)).toEqual([5, 5, 5, 5].map((n) => expect.closeTo(n, 4) as number))
    expect(record?.quantiles_sample_size).toBe(20)
    expect(Number(record?.quantiles?.['0.5'])).toBeCloseTo((Number(values[9]) + Number(values[10])) / 2, 6)
  })
})
