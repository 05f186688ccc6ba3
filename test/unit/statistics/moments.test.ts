import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { channelMoments } from '../../../src/statistics/channels.ts'
import { MomentSums, type SampleMoments } from '../../../src/statistics/moments.ts'
import { exactMoments } from '../support/exact-moments.ts'
import { cuts, floats, sliced } from '../support/slices.ts'

function momentsOf(...slices: readonly Float32Array[]): SampleMoments {
  const sums = new MomentSums()
  for (const slice of slices) sums.add(slice)
  return sums.result()
}

/** Expects exact moments within 1e-7; for skewness and kurtosis relative to their size, at least 1. */
function expectExact(values: Float32Array): void {
  const { mean, variance, skewness, kurtosis, l2Norm } = exactMoments(values)
  const found = momentsOf(values)
  const std = Math.sqrt(variance)
  const errors = {
    mean: (found.mean - mean) / Math.max(std, Math.abs(mean)),
    variance: found.variance / variance - 1,
    std: found.std / std - 1,
    skewness: ((found.skewness ?? NaN) - skewness) / Math.max(1, Math.abs(skewness)),
    kurtosis: ((found.kurtosis ?? NaN) - kurtosis) / Math.max(1, Math.abs(kurtosis)),
    l2_norm: found.l2_norm / l2Norm - 1,
  }
  const wrong = Object.entries(errors).filter(([, error]) => !(Math.abs(error) < 1e-7))
  expect(wrong).toEqual([])
}

/** Roughly normal: the mean of four numbers of a seeded generator. */
function spread(count: number, center: number, scale: number): Float32Array {
  let state = 1
  const next = (): number => (state = (state * 48271) % 0x7fffffff) / 0x7fffffff
  return Float32Array.from({ length: count }, () => center + scale * (next() + next() + next() + next() - 2))
}

const isVaried = (values: Float32Array): boolean => Math.min(...values) < Math.max(...values)

describe('moments', () => {
  test('equal exact arithmetic for any float32 numbers', () => {
    const any = fc.float({ noNaN: true, noDefaultInfinity: true })
    const values = fc.oneof(
      floats(2),
      fc.array(any, { minLength: 2, maxLength: 200 }).map((list) => Float32Array.from(list)),
      // Neighbours of one number of any size.
      fc
        .tuple(any, fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 2, maxLength: 200 }))
        .map(([center, steps]) => {
          const bits = new Uint32Array(Float32Array.of(center).buffer)
          const near = Uint32Array.from(steps, (step) => ((bits[0] ?? 0) & 0xfffffff0) + step)
          return new Float32Array(near.buffer)
        }),
    )
    fc.assert(
      fc.property(values, (given) => {
        fc.pre(isVaried(given) && given.every(Number.isFinite))
        expectExact(given)
      }),
      { numRuns: 500 },
    )
  })

  test.each<[string, number, number]>([
    ['gammas about 1', 1, 1e-3],
    ['gammas close about 1', 1, 1e-4],
    ['a mean of 1e4', 1e4, 1],
    ['a mean of 1e6', 1e6, 1],
    ['a mean of -1e6 and a spread of one step', -1e6, 0.0625],
    ['numbers of 1e30', 1e30, 1e24],
    ['numbers of 1e-30', 1e-30, 1e-34],
    ['the smallest numbers', 0, 1e-43],
    ['the largest numbers', 0, 1.6e38],
  ])('of many values are exact: %s', (_, center, scale) => {
    expectExact(spread(20_000, center, scale))
  })

  test('of a constant block and one neighbouring value are exact', () => {
    const values = new Float32Array(10_001).fill(Math.fround(1e6))
    values[5000] = 1_000_000.0625
    expectExact(values)
  })

  test('do not depend on the slices, to the bit', () => {
    const long = spread(30_000, 3, 1)
    fc.assert(
      fc.property(fc.oneof(floats(1), fc.constant(long)), cuts, (values, shares) => {
        expect(momentsOf(...sliced(values, shares))).toStrictEqual(momentsOf(values))
      }),
    )
  })

  test.each([0, 0.1, -3, 1e30, -1e-45])('of the constant %d are exact', (value) => {
    const constant = Math.fround(value)
    for (const count of [1, 9, 10_001]) {
      const { l2_norm, ...others } = momentsOf(new Float32Array(count).fill(constant))
      expect(others).toEqual({
        ...{ mean: constant, min: constant, max: constant, std: 0, variance: 0 },
        ...{ skewness: null, kurtosis: null, zeros: value === 0 ? count : 0, non_finite: 0 },
      })
      expect(l2_norm).toBeCloseTo(Math.abs(constant) * Math.sqrt(count), 6 - Math.log10(1 + l2_norm))
    }
  })

  test('have a kurtosis of at least -2, the kurtosis of two equally frequent values', () => {
    fc.assert(
      fc.property(
        fc.float({ min: -9, max: 9, noNaN: true }),
        fc.integer({ min: 1, max: 3000 }),
        (other, pairs) => {
          fc.pre(other !== 7)
          const { kurtosis } = momentsOf(
            Float32Array.from({ length: 2 * pairs }, (_, i) => (i % 2 ? 7 : other)),
          )
          expect(kurtosis).toBeGreaterThanOrEqual(-2)
          expect(kurtosis).toBeLessThan(-2 + 1e-7)
        },
      ),
    )
  })

  test('exclude and count non-finite values', () => {
    const odd = [Float32Array.of(1, NaN, 3), Float32Array.of(Infinity, -Infinity)]
    expect(momentsOf(...odd)).toMatchObject({ mean: 2, variance: 1, min: 1, max: 3, non_finite: 3 })
    const none = momentsOf(Float32Array.of(NaN, NaN))
    expect(none).toMatchObject({ mean: NaN, min: NaN, max: NaN, skewness: null, l2_norm: 0, non_finite: 2 })
  })
})

test('channels have the variance of their data, however large the mean', () => {
  const values = spread(20_000, 1e6, 1)
  const { variance, mean } = exactMoments(values)
  for (const channels of [1, 8]) {
    const found = channelMoments(values, channels)
    expect(found.variance / variance).toBeCloseTo(1, 9)
    expect(found.mean / mean).toBeCloseTo(1, 12)
  }
})
