import { describe, expect, test } from 'vitest'
import { theoryOf, type ElementwiseLaw } from '../../../src/initializers/law.ts'
import { cdfOf } from '../../../src/statistics/distribution.ts'
import { MomentSums } from '../../../src/statistics/moments.ts'
import {
  holm,
  kolmogorovSmirnov,
  momentTests,
  pValues,
  roundedKolmogorovSmirnov,
} from '../../../src/statistics/tests.ts'
import { drawLaw } from '../support/oracle.ts'

function spread(count: number, power: number): Float32Array {
  const share = (i: number) => ((i * 0.6180339887498949) % 1) ** power
  return Float32Array.from({ length: count }, (_, i) => share(i + 1)).sort()
}

describe('Kolmogorov-Smirnov', () => {
  // python3: v = numpy.float32([((i * 0.6180339887498949) % 1) ** power for i in range(1, n + 1)]).astype(float)
  //   r = scipy.stats.kstest(v, 'uniform', mode='exact'); r.statistic, r.pvalue
  //   scipy.stats.kstwobign.sf((n ** .5 + .12 + .11 / n ** .5) * r.statistic)
  test.each([
    [10, 1.1, 0.11581401824951176, 0.9966827675714798, 0.9984721109684058],
    [100, 1.1, 0.0453691244125366, 0.9804179282021898, 0.9841304734902104],
    [1000, 1.1, 0.03584696173667906, 0.1493677785250649, 0.14995892016451748],
    [200, 1.1, 0.03619605302810669, 0.9472562147408234, 0.9523891705492719],
    [200, 1.3, 0.09684584021568299, 0.043854032142823685, 0.04386622068126412],
    [200, 1.6, 0.17141228675842285, 1.3142279407346214e-5, 1.2710755228856553e-5],
  ])('%d values to the power %d', (count, power, statistic, exact, corrected) => {
    const result = kolmogorovSmirnov(spread(count, power), cdfOf({ kind: 'uniform', low: 0, high: 1 }))
    expect(result.sample_size).toBe(count)
    expect(result.statistic).toBeCloseTo(statistic, 12)
    expect(result.p_value / corrected).toBeCloseTo(1, 9)
    expect(Math.abs(result.p_value / exact - 1)).toBeLessThan(0.04)
  })

  test('gives a perfect fit a p-value of 1, and another distribution 0', () => {
    const cdf = cdfOf({ kind: 'uniform', low: 0, high: 1 })
    const even = Float32Array.from({ length: 1000 }, (_, i) => (i + 0.5) / 1000)
    expect(kolmogorovSmirnov(even, cdf).p_value).toBe(1)
    expect(kolmogorovSmirnov(even.fill(2), cdf)).toMatchObject({ statistic: 1, p_value: 0 })
  })

  test('compares rounded values with the points halfway to their neighbours', () => {
    const cdf = cdfOf({ kind: 'uniform', low: 0, high: 1 })
    const rounded = spread(20_000, 1).map((value) => Math.round(value * 20) / 20)
    expect(kolmogorovSmirnov(rounded, cdf).p_value).toBeLessThan(1e-9)
    expect(roundedKolmogorovSmirnov(rounded, cdf).p_value).toBeGreaterThan(0.99)
    const bent = spread(20_000, 1.1).map((value) => Math.round(value * 20) / 20)
    expect(roundedKolmogorovSmirnov(bent, cdf).p_value).toBeLessThan(1e-9)
  })

  test.each([100, 1000, 12_345])('finds the largest of all distances of %d values', (count) => {
    const law: ElementwiseLaw = { kind: 'truncated_normal', mean: 0, std: 0.5 }
    const cdf = cdfOf(law)
    for (let draw = 0; draw < 5; draw++) {
      const values = drawLaw(law, count, [5, draw]).sort()
      const distances = [...values].flatMap((value, index) => [
        cdf(value) - index / count,
        (index + 1) / count - cdf(value),
      ])
      expect(kolmogorovSmirnov(values, cdf).statistic).toBe(distances.reduce((a, b) => Math.max(a, b)))
    }
  })

  test('counts ties as one step', () => {
    const cdf = cdfOf({ kind: 'uniform', low: 0, high: 1 })
    expect(kolmogorovSmirnov(Float32Array.of(0.5, 0.5), cdf).statistic).toBe(0.5)
  })
})

describe('tests of moments', () => {
  const laws: ElementwiseLaw[] = [
    { kind: 'uniform', low: -0.05, high: 0.05 },
    { kind: 'truncated_normal', mean: 0, std: 0.05 },
    { kind: 'normal', mean: 0.3, std: 2 },
  ]
  test.each(laws)('are standard normal over many draws: $kind', (law) => {
    const size = 1000
    const theory = theoryOf(law, [size])
    const draws = Array.from({ length: 400 }, (_, draw) => {
      const sums = new MomentSums()
      sums.add(drawLaw(law, size, [11, draw]))
      return momentTests(sums.result(), theory, size)
    })
    for (const name of ['mean_z', 'variance_z'] as const) {
      const values = draws.map((draw) => draw[name])
      const mean = values.reduce((sum, z) => sum + z, 0) / values.length
      const std = Math.sqrt(values.reduce((sum, z) => sum + (z - mean) ** 2, 0) / values.length)
      expect(Math.abs(mean)).toBeLessThan(0.2)
      expect(std).toBeGreaterThan(0.85)
      expect(std).toBeLessThan(1.15)
    }
  })

  test('detect a standard deviation that is one percent too large', () => {
    const law: ElementwiseLaw = { kind: 'uniform', low: -1, high: 1 }
    const theory = theoryOf(law, [100_000])
    const sums = new MomentSums()
    sums.add(drawLaw(law, 100_000, [1, 0]).map((value) => value * 1.02))
    expect(momentTests(sums.result(), theory, 100_000).variance_z).toBeGreaterThan(8)
  })

  test('have two-sided p-values', () => {
    const ks = { statistic: 0.1, p_value: 0.25, sample_size: 9 }
    const values = pValues({ mean_z: -1.959963984540054, variance_z: 0, ks })
    expect(values[0]).toBeCloseTo(0.05, 12)
    expect(values.slice(1)).toEqual([1, 0.25])
  })
})

describe("Holm's correction", () => {
  test.each([
    // Sorted 0.005, 0.01, 0.03, 0.04, times 4, 3, 2, 1: 0.02, 0.03, 0.06, and 0.04 raised to 0.06.
    [
      [0.01, 0.04, 0.03, 0.005],
      [0.03, 0.06, 0.06, 0.02],
    ],
    [
      [0.6, 0.5],
      [1, 1],
    ],
    [[0.02], [0.02]],
    [[], []],
  ])('of %j is %j', (values, expected) => {
    const adjusted = holm(values)
    expect(adjusted).toHaveLength(expected.length)
    adjusted.forEach((value, index) => {
      expect(value).toBeCloseTo(expected[index] ?? NaN, 12)
    })
  })
})
