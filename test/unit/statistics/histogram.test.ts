import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cdfOf } from '../../../src/statistics/distribution.ts'
import { HistogramCounts, computeQuantiles } from '../../../src/statistics/histogram.ts'
import { cuts, floats, sliced } from '../support/slices.ts'

const bins = fc.integer({ min: 1, max: 64 })
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

describe('histogram', () => {
  test('counts every value once, for any slicing', () => {
    fc.assert(
      fc.property(floats(1), cuts, bins, (values, shares, count) => {
        const whole = new HistogramCounts(-20, 30, count)
        whole.add(values)
        const parts = new HistogramCounts(-20, 30, count)
        for (const slice of sliced(values, shares)) parts.add(slice)
        const { counts, edges } = whole.result(values.length, undefined)
        expect(sum(counts)).toBe(values.length)
        expect(parts.result(values.length, undefined).counts).toEqual(counts)
        expect(edges).toHaveLength(count + 1)
        expect([edges[0], edges.at(-1)]).toEqual([-20, 30])
      }),
    )
  })

  test('counts as numpy does, values on edges and beside them too', () => {
    const vectors = JSON.parse(
      readFileSync(new URL('../../golden/vectors/histograms.json', import.meta.url), 'utf8'),
    ) as { values: string; limits: [number, number]; edges: number[]; counts: number[] }[]
    for (const { values, limits, edges, counts } of vectors) {
      const histogram = new HistogramCounts(...limits, counts.length)
      const bytes = Uint8Array.from(Buffer.from(values, 'base64'))
      histogram.add(new Float32Array(bytes.buffer))
      expect(histogram.result(bytes.length / 4, undefined)).toEqual({ edges, counts, expected: null })
    }
  })

  test('counts every value in the bin of its edges; the last bin is closed', () => {
    const limits = fc
      .tuple(
        fc.float({ noNaN: true, noDefaultInfinity: true }),
        fc.float({ noNaN: true, noDefaultInfinity: true }),
      )
      .filter(([low, high]) => low < high)
    fc.assert(
      fc.property(limits, bins, ([low, high], count) => {
        const { edges } = new HistogramCounts(low, high, count).result(0, undefined)
        const values = Float32Array.from(edges).filter((value) => value >= low && value <= high)
        for (const value of values) {
          const histogram = new HistogramCounts(low, high, count)
          histogram.add(Float32Array.of(value))
          const bin = histogram.result(1, undefined).counts.indexOf(1)
          expect(value).toBeGreaterThanOrEqual(edges[bin] ?? NaN)
          if (bin < count - 1) expect(value).toBeLessThan(edges[bin + 1] ?? NaN)
        }
      }),
    )
  })

  test('counts a value in the bin whose edges contain it', () => {
    const counts = new HistogramCounts(0, 4, 4)
    counts.add(Float32Array.of(0, 0.99, 1, 2.5, 3, 3.5, 4, 9, -1))
    expect(counts.result(9, undefined)).toEqual({
      edges: [0, 1, 2, 3, 4],
      counts: [3, 1, 1, 4],
      expected: null,
    })
  })

  test.each([
    ['uniform', cdfOf({ kind: 'uniform', low: -1, high: 1 })],
    ['normal', cdfOf({ kind: 'normal', mean: 0, std: 1 })],
    ['truncated normal', cdfOf({ kind: 'truncated_normal', mean: 0, std: 1 })],
  ])('has expected counts that sum to the size: %s', (_, cdf) => {
    fc.assert(
      fc.property(bins, fc.integer({ min: 1, max: 1e6 }), (count, size) => {
        const { expected } = new HistogramCounts(-1.5, 1.5, count).result(size, cdf)
        expect(sum(expected ?? []) / size).toBeCloseTo(1, 12)
        expect(Math.min(...(expected ?? [-1]))).toBeGreaterThanOrEqual(0)
      }),
    )
  })

  test('has equal expected counts for a uniform', () => {
    const { expected } = new HistogramCounts(-1, 1, 5).result(
      1000,
      cdfOf({ kind: 'uniform', low: -1, high: 1 }),
    )
    for (const count of expected ?? []) expect(count).toBeCloseTo(200, 9)
  })

  test('omits NaN, and has a width for equal values', () => {
    const counts = new HistogramCounts(2, 2, 2)
    counts.add(Float32Array.of(2, NaN, 2))
    expect(counts.result(3, undefined)).toEqual({ edges: [1.5, 2, 2.5], counts: [0, 2], expected: null })
  })
})

describe('quantiles', () => {
  test('equal numpy.quantile with its linear rule', () => {
    // python3: numpy.quantile(numpy.float32([3, 1, 4, 1, 5, 9, 2, 6, 5, 3]), [.01, .05, .25, .5, .75, .95, .99])
    const quantiles = computeQuantiles(Float32Array.of(3, 1, 4, 1, 5, 9, 2, 6, 5, 3).sort())
    expect(Object.keys(quantiles)).toEqual(['0.01', '0.05', '0.25', '0.5', '0.75', '0.95', '0.99'])
    const expected = [1, 1, 2.25, 3.5, 5, 7.65, 8.73]
    Object.values(quantiles).forEach((value, index) => {
      expect(value).toBeCloseTo(expected[index] ?? NaN, 10)
    })
  })

  test('of one value are that value', () => {
    expect(new Set(Object.values(computeQuantiles(Float32Array.of(7))))).toEqual(new Set([7]))
  })

  test('are ascending and within the range of the values', () => {
    fc.assert(
      fc.property(floats(1), (values) => {
        const found = Object.values(computeQuantiles(values.slice().sort()))
        found.slice(1).forEach((value, index) => {
          expect(value).toBeGreaterThanOrEqual(found[index] ?? NaN)
        })
        expect(found[0]).toBeGreaterThanOrEqual(Math.min(...values))
        expect(found.at(-1)).toBeLessThanOrEqual(Math.max(...values))
      }),
    )
  })
})
