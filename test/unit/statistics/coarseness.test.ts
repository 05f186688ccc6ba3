import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hasFewLevels, Precision } from '../../../src/statistics/coarseness.ts'
import { isGateBias } from '../../../src/statistics/structures.ts'
import { drawLaw } from '../support/oracle.ts'

const drawn = drawLaw({ kind: 'normal', mean: 0, std: 0.05 }, 4096, [3, 1])

function precisionOf(...slices: Float32Array[]): number {
  const precision = new Precision()
  for (const slice of slices) precision.add(slice)
  return precision.result()
}

/** Clears the lowest bits of the fraction. */
function cut(values: Float32Array, bits: number): Float32Array {
  const words = new Uint32Array(values.slice().buffer)
  return new Float32Array(words.map((word) => (word >>> bits) << bits).buffer)
}

describe('precision', () => {
  test.each([
    ['float32', 0, 2 ** -23],
    ['float16', 13, 2 ** -10],
    ['bfloat16', 16, 2 ** -7],
    ['fewer bits than any weight format', 19, 2 ** -7],
  ])('is the precision of %s', (_, bits, epsilon) => {
    expect(precisionOf(cut(drawn, bits))).toBe(epsilon)
  })

  test('is determined by the value with most bits, in any slice', () => {
    const coarse = cut(drawn, 13)
    fc.assert(
      fc.property(fc.nat(4095), (place) => {
        const fine = coarse.slice()
        fine[place] = 0.1
        expect(precisionOf(fine.subarray(0, 1000), fine.subarray(1000))).toBeLessThan(2 ** -22)
      }),
    )
  })
})

describe('few levels', () => {
  const quantized = (scaleAt: (index: number) => number) =>
    drawn.map((value, index) => Math.round(value * scaleAt(index)) / scaleAt(index))

  test('are found in rows and in columns with different scales', () => {
    expect(
      hasFewLevels(
        quantized((index) => 40 + Math.floor(index / 64)),
        [64, 64],
      ),
    ).toBe(true)
    expect(
      hasFewLevels(
        quantized((index) => 40 + (index % 64)),
        [64, 64],
      ),
    ).toBe(true)
    expect(
      hasFewLevels(
        quantized(() => 40),
        [64, 64],
      ),
    ).toBe(true)
  })

  test('are not found in draws, nor in short vectors', () => {
    expect(hasFewLevels(drawn, [64, 64])).toBe(false)
    expect(hasFewLevels(cut(drawn, 16), [64, 64])).toBe(false)
    expect(hasFewLevels(new Float32Array(64), [8, 8])).toBe(false)
  })
})

test.each([
  [true, [0, 0, 1, 1, 0, 0, 0, 0], [8]],
  [true, [0, 0, 0, 0, 1, 1], [6]],
  [false, [0, 1, 1, 0, 0, 0, 0, 0], [8]],
  [false, [0, 0, 1, 1, 0, 0, 0, 0], [2, 4]],
  [false, [0, 0, 2, 2, 0, 0, 0, 0], [8]],
  [false, [0, 1], [2]],
])('isGateBias is %j for %j, shape %j', (expected, values, shape) => {
  expect(isGateBias(Float32Array.from(values), shape)).toBe(expected)
})
