import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RelativeSums } from '../../../src/statistics/relative.ts'
import { floats } from '../support/slices.ts'

function relative(values: readonly number[], reference: readonly number[]) {
  const sums = new RelativeSums()
  sums.add(Float32Array.from(values), Float32Array.from(reference))
  return sums.result()
}

test('distance and cosine by hand', () => {
  expect(relative([3, 4], [0, 5])).toEqual({ l2_distance: Math.sqrt(10) / 5, cosine: 0.8 })
  expect(relative([-2, 0], [1, 0])).toEqual({ l2_distance: 3, cosine: -1 })
})

test('the distance from itself is 0 and the cosine 1, exactly', () => {
  fc.assert(
    fc.property(floats(1), (values) => {
      expect(relative([...values], [...values])).toEqual({ l2_distance: 0, cosine: 1 })
    }),
  )
})

test('zeros have no cosine and no relative distance', () => {
  expect(relative([0, 0], [0, 0])).toEqual({ l2_distance: 0, cosine: 1 })
  expect(relative([1, 0], [0, 0])).toEqual({ l2_distance: Infinity, cosine: null })
  expect(relative([0, 0], [1, 0])).toEqual({ l2_distance: 1, cosine: null })
})

test('NaN stays NaN', () => {
  expect(relative([NaN], [1])).toEqual({ l2_distance: NaN, cosine: NaN })
})
