import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MomentSums, type SampleMoments } from '../../src/statistics/moments.ts'
import { cuts, floats, sliced } from './support/slices.ts'

function momentsOf(slices: readonly Float32Array[], center = 0, unit = 1): SampleMoments {
  const sums = new MomentSums(center, unit)
  for (const slice of slices) sums.add(slice)
  return sums.result()
}

/** The definitions, in two passes. */
function directly(values: Float32Array) {
  const n = values.length
  const average = (of: (value: number) => number): number =>
    values.reduce((sum, value) => sum + of(value), 0) / n
  const mean = average((value) => value)
  const central = (power: number): number => average((value) => (value - mean) ** power)
  const variance = central(2)
  return {
    ...{ mean, variance, std: Math.sqrt(variance) },
    skewness: central(3) / variance ** 1.5,
    kurtosis: central(4) / variance ** 2 - 3,
    l2_norm: Math.sqrt(n * average((value) => value * value)),
  }
}

const names = ['mean', 'variance', 'std', 'skewness', 'kurtosis', 'l2_norm'] as const

describe('moments', () => {
  test('equal those of two passes', () => {
    fc.assert(
      fc.property(floats(2), fc.double({ min: -2, max: 2, noNaN: true }), (values, shift) => {
        const expected = directly(values)
        fc.pre(expected.std > 0.5)
        const moments = momentsOf([values], expected.mean + shift * expected.std, expected.std)
        for (const name of names) {
          const scale = Math.max(Math.abs(expected[name]), name === 'mean' ? expected.std : 1)
          expect(Math.abs((moments[name] ?? NaN) - expected[name]) / scale).toBeLessThan(1e-9)
        }
        // Of two zeros the first is as good as the negative one.
        expect(moments.min + 0).toBe(Math.min(...values) + 0)
        expect(moments.max + 0).toBe(Math.max(...values) + 0)
        expect(moments.zeros).toBe(values.filter((value) => value === 0).length)
      }),
    )
  })

  test('do not depend on the slicing', () => {
    fc.assert(
      fc.property(floats(2), cuts, (values, shares) => {
        const whole = momentsOf([values])
        fc.pre(whole.std > 0.5)
        const joined = momentsOf(sliced(values, shares))
        const { mean, skewness, kurtosis, ...others } = whole
        expect(Math.abs(joined.mean - mean) / whole.std).toBeLessThan(1e-12)
        expect(Math.abs((joined.skewness ?? NaN) - (skewness ?? NaN))).toBeLessThan(1e-9)
        expect(((joined.kurtosis ?? NaN) + 3) / ((kurtosis ?? NaN) + 3)).toBeCloseTo(1, 9)
        for (const name of ['std', 'variance', 'l2_norm'] as const) {
          expect(Math.abs(joined[name] / others[name] - 1)).toBeLessThan(1e-12)
        }
        for (const name of ['min', 'max', 'zeros', 'non_finite'] as const)
          expect(joined[name]).toBe(others[name])
      }),
    )
  })

  test('of a small spread about a large mean do not cancel where theory is near', () => {
    const values = Float32Array.from({ length: 1000 }, (_, i) => 1000 + (i % 7) / 16)
    const expected = directly(values)
    const moments = momentsOf([values], 1000, 0.1)
    expect(moments.variance / expected.variance).toBeCloseTo(1, 10)
    expect(moments.kurtosis).toBeCloseTo(expected.kurtosis, 8)
  })

  test.each([0, 0.1, -3])('of the constant %d are exact', (value) => {
    const constant = Math.fround(value)
    expect(momentsOf([new Float32Array(9).fill(constant)], 0.3, 2)).toMatchObject({
      ...{
        mean: constant,
        std: 0,
        variance: 0,
        skewness: null,
        kurtosis: null,
        min: constant,
        max: constant,
      },
      zeros: value === 0 ? 9 : 0,
    })
  })

  test('omit and count non-finite values', () => {
    const moments = momentsOf([Float32Array.of(1, NaN, 3), Float32Array.of(Infinity, -Infinity)])
    expect(moments).toMatchObject({ mean: 2, variance: 1, min: 1, max: 3, non_finite: 3 })
  })
})
