import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { deriveStream } from '../../../src/initializers/seeds.ts'
import { Subsample } from '../../../src/statistics/subsample.ts'
import { cuts, sliced } from '../support/slices.ts'

/** The positions that a subsample selects. Every value equals its position. */
function placesOf(total: number, size: number, seed = 20, shares: readonly number[] = []): number[] {
  const subsample = new Subsample(total, size, deriveStream([seed, 0]))
  for (const slice of sliced(
    Float32Array.from({ length: total }, (_, i) => i),
    shares,
  ))
    subsample.add(slice)
  return [...subsample.sorted()]
}

const totals = fc.integer({ min: 1, max: 2000 })

describe('subsample', () => {
  test('takes the requested number of values, each at most once', () => {
    fc.assert(
      fc.property(totals, totals, (total, size) => {
        const places = placesOf(total, size)
        expect(places).toHaveLength(Math.min(total, size))
        expect(new Set(places).size).toBe(places.length)
        expect(places[0]).toBeGreaterThanOrEqual(0)
        expect(places.at(-1)).toBeLessThan(total)
      }),
    )
  })

  test('takes the same values for any slicing', () => {
    fc.assert(
      fc.property(totals, totals, cuts, (total, size, shares) => {
        expect(placesOf(total, size, 20, shares)).toEqual(placesOf(total, size))
      }),
    )
  })

  test('takes one value of each stretch, at positions that depend on its seed', () => {
    const places = placesOf(10_000, 100)
    places.forEach((place, index) => {
      expect(Math.floor(place / 100)).toBe(index)
    })
    expect(placesOf(10_000, 100)).toEqual(places)
    expect(placesOf(10_000, 100, 21)).not.toEqual(places)
    const within = places.map((place) => place % 100)
    expect(new Set(within).size).toBeGreaterThan(40)
  })

  test('takes all values of a small tensor', () => {
    expect(placesOf(5, 9)).toEqual([0, 1, 2, 3, 4])
  })

  test('is sorted numerically', () => {
    const subsample = new Subsample(4, 4, deriveStream([0, 0]))
    subsample.add(Float32Array.of(10, -2, 9, -10))
    expect([...subsample.sorted()]).toEqual([-10, -2, 9, 10])
  })
})
