import { expect, describe, test } from 'vitest'
import type { Law } from '../../../src/initializers/law.ts'
import { Measurement } from '../../../src/statistics/record.ts'
import { checker } from '../../../src/common/validation.ts'
import { toJson } from '../../../src/http/shared/schema-parts.ts'
import { measured } from '../support/measured.ts'
import { drawLaw } from '../support/oracle.ts'

const everything = {
  ...{ histogram: true, quantiles: true, bins: 8 },
  ...{ spectrum: false, operatorSpectrum: false },
}
const check = checker(Measurement)

/** The record of these values, validated against the schema of responses. */
async function recordOf(
  shape: readonly number[],
  law: Law | null,
  values: Float32Array,
): Promise<Measurement> {
  const slices = async function* () {
    yield await Promise.resolve(values.subarray(0, 5))
    if (values.length > 5) yield values.subarray(5)
  }
  const record = await measured({ shape, law, slices }, everything)
  expect(check(JSON.parse(toJson(record)))).toEqual([])
  return record
}

function eye(rows: number, columns: number, gain: number): Float32Array {
  return Float32Array.from({ length: rows * columns }, (_, i) =>
    i % columns === Math.floor(i / columns) ? gain : gain * 0,
  )
}

describe('exactness', () => {
  const identity = (gain: number): Law => ({ kind: 'identity', gain })
  test.each<[number, number, number]>([
    [64, 64, 0.1],
    [3, 5, -0.3],
    [5, 3, 1],
    [1, 1, 0.7],
    [1, 4, 1e-3],
    [4, 4, 0],
  ])('of an identity of [%d, %d] and gain %d', async (rows, columns, gain) => {
    const values = eye(rows, columns, gain)
    expect((await recordOf([rows, columns], identity(gain), values)).exact).toBe(true)
    for (const wrong of [2, NaN, Infinity]) {
      const other = values.slice()
      other[values.length - 1] = wrong
      expect((await recordOf([rows, columns], identity(gain), other)).exact).toBe(false)
    }
  })

  test('of an identity of another gain, or with a value off the diagonal', async () => {
    expect((await recordOf([8, 8], identity(0.1), eye(8, 8, 0.1000001))).exact).toBe(false)
    const off = eye(8, 8, 0.1)
    off[1] = 0.1
    expect((await recordOf([8, 8], identity(0.1), off)).exact).toBe(false)
  })
})

describe('exactness of other fixed values', () => {
  test('of a list with a repeated last value', async () => {
    const law: Law = { kind: 'values', values: [1, 2, 0.5] }
    const values = Float32Array.of(1, 2, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5)
    const record = await recordOf([2, 4], law, values)
    expect(record).toMatchObject({ exact: true, tests: null, theory: { distribution: 'values', max: 2 } })
    expect(record.sample.mean).toBeCloseTo(record.theory?.mean ?? NaN, 12)
    expect(record.sample.variance).toBeCloseTo(record.theory?.variance ?? NaN, 12)
    // The same values in another order are not exact.
    expect((await recordOf([2, 4], law, values.slice().reverse())).exact).toBe(false)
  })

  test('of a Dirac kernel: every one at its position', async () => {
    const law: Law = { kind: 'dirac', groups: 2, gain: 1 }
    const values = new Float32Array(3 * 2 * 4)
    for (const [input, output] of [
      [0, 0],
      [1, 1],
      [0, 2],
      [1, 3],
    ] as const)
      values[8 + input * 4 + output] = 1
    const record = await recordOf([3, 2, 4], law, values)
    expect(record).toMatchObject({ exact: true, tests: null, sample: { zeros: 20, max: 1 } })
    expect(record.sample.variance).toBeCloseTo(record.theory?.variance ?? NaN, 12)
    const moved = values.slice()
    moved.set([0, 1], 8)
    expect((await recordOf([3, 2, 4], law, moved)).exact).toBe(false)
  })

  test('is null for draws', async () => {
    const law: Law = { kind: 'convolution_orthogonal', gain: 1 }
    expect(await recordOf([1, 1, 1, 6], law, new Float32Array(6).fill(0.4))).toMatchObject({
      ...{ exact: null, tests: null },
    })
  })
})

test('the histogram of a normal with distant bounds covers its values', async () => {
  const law: Law = { kind: 'bounded_normal', mean: 0, std: 0.02, low: -2, high: 2 }
  const { histogram, tests, theory } = await recordOf([1000], law, drawLaw(law, 1000, [1, 0]))
  expect([theory?.min, theory?.max]).toEqual([-2, 2])
  expect(histogram?.edges[0]).toBeCloseTo(-0.1, 6)
  expect(histogram?.expected?.reduce((sum, count) => sum + count)).toBeCloseTo(1000, 6)
  expect(tests?.ks.p_value).toBeGreaterThan(1e-4)
})

describe('non-finite values', () => {
  test('are counted; all other statistics cover the finite ones', async () => {
    const record = await recordOf([9], null, Float32Array.of(NaN, 4, Infinity, 1, -Infinity, 2, 3, NaN, 0))
    expect(record.sample).toMatchObject({ mean: 2, variance: 2, min: 0, max: 4, zeros: 1, non_finite: 4 })
    expect(record.histogram).toMatchObject({ edges: [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4], expected: null })
    expect(record.histogram?.counts).toEqual([1, 0, 1, 0, 1, 0, 1, 1])
    expect(record.quantiles).toMatchObject({ '0.25': 1, '0.5': 2, '0.75': 3 })
    expect(record.quantiles_sample_size).toBe(5)
  })

  test('alone give NaN as strings', async () => {
    const record = await recordOf([6], null, new Float32Array(6).fill(NaN))
    expect(record.sample).toMatchObject({ mean: NaN, min: NaN, max: NaN, skewness: null, non_finite: 6 })
    expect(record.histogram).toMatchObject({ edges: [0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1] })
    expect(record.quantiles?.['0.5']).toBeNaN()
  })

  test('prevent tests', async () => {
    const law: Law = { kind: 'normal', mean: 0, std: 1 }
    const values = drawLaw(law, 1000, [1, 0])
    expect((await recordOf([1000], law, values)).tests).not.toBeNull()
    values[7] = Infinity
    const { tests, histogram, sample } = await recordOf([1000], law, values)
    expect([tests, sample.non_finite]).toEqual([null, 1])
    expect(histogram?.counts.reduce((sum, count) => sum + count)).toBe(999)
  })
})

describe('laws at the limits of float32', () => {
  test.each<[string, Law, number]>([
    ['no spread', { kind: 'truncated_normal', mean: 0.5, std: 0 }, 0.5],
    ['a spread too small to square', { kind: 'normal', mean: 1, std: 1e-200 }, 1],
    ['a spread too large to square', { kind: 'normal', mean: 0, std: 1e200 }, Infinity],
    ['bounds beyond float32', { kind: 'uniform', low: -1e300, high: 1e300 }, -Infinity],
  ])('have a record without tests: %s', async (_, law, value) => {
    const record = await recordOf([6], law, new Float32Array(6).fill(value))
    expect(record.tests).toBeNull()
    expect(record.sample.non_finite).toBe(Number.isFinite(value) ? 0 : 6)
    expect(record.histogram?.expected).toBeNull()
  })

  test('the histogram of a large constant covers it', async () => {
    const large = Math.fround(1e30)
    const record = await recordOf([6], { kind: 'constant', value: large }, new Float32Array(6).fill(large))
    expect(record.exact).toBe(true)
    expect(record.histogram?.counts).toEqual([0, 0, 0, 0, 6, 0, 0, 0])
  })
})
