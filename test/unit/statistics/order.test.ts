import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { sortFloats, valuesAtRanks } from '../../../src/statistics/order.ts'
import { floats } from '../support/slices.ts'

const LONG = 20_000
/** Values of all magnitudes and both signs, with both zeros and duplicates. */
const long = Float32Array.from({ length: LONG }, (_, i) => {
  const unit = (i * 0.6180339887498949) % 1
  return (
    [Math.tan(Math.PI * (unit - 0.5)), unit * 1e-40, -0, 0, Math.round(9 * unit), -(10 ** (60 * unit - 30))][
      i % 6
    ] ?? 0
  )
})

describe('sorting by bits', () => {
  test.each([
    ['short', Float32Array.of(3, -1, 0, -0, Infinity, -Infinity, 1e-42)],
    ['long', long],
    ['part of another', long.subarray(7, 15_000)],
  ])('sorts %s values like a comparison sort', (_, values) => {
    const expected = values.slice().sort()
    const around = [long[6], long[15_000]]
    expect(sortFloats(values.slice())).toEqual(expected)
    expect([long[6], long[15_000]]).toEqual(around)
  })

  test('sorts in place', () => {
    const values = long.slice()
    expect(sortFloats(values)).toBe(values)
  })
})

describe('values at ranks', () => {
  test('equal the elements of the sorted values', () => {
    fc.assert(
      fc.property(floats(1), fc.array(fc.nat(), { minLength: 1, maxLength: 9 }), (values, places) => {
        const ranks = places.map((place) => place % values.length)
        const sorted = values.slice().sort()
        const found = valuesAtRanks(values, ranks)
        expect(ranks.map((rank) => found.get(rank))).toEqual(ranks.map((rank) => sorted[rank]))
      }),
    )
  })

  test('do not change the values', () => {
    const values = long.slice()
    const middle = LONG / 2
    expect(valuesAtRanks(values, [middle, 0]).get(middle)).toBe(long.slice().sort()[middle])
    expect(values).toEqual(long)
  })
})
