import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { toFloats } from '../../../src/formats/dtypes.ts'

const ALL_HALVES = Uint16Array.from({ length: 65_536 }, (_, bits) => bits)

/** The value of a binary16 number by its definition in IEEE 754. */
function halfValue(bits: number): number {
  const sign = bits >= 32_768 ? -1 : 1
  const exponent = Math.floor(bits / 1024) % 32
  const fraction = bits % 1024
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25))
}

describe('F16', () => {
  const floats = toFloats('F16', new Uint8Array(ALL_HALVES.buffer))

  test('is exact for all 65,536 values', () => {
    expect(floats).toHaveLength(65_536)
    const wrong = [...floats].filter((value, bits) => !Object.is(value, halfValue(bits)))
    expect(wrong).toEqual([])
  })

  // numpy.arange(65536, dtype='<u2').view('<f2').astype('<f4').tobytes()
  test('has the bits of numpy, NaN included', () => {
    const digest = createHash('sha256').update(new Uint8Array(floats.buffer)).digest('hex')
    expect(digest).toBe('f4fdd084f85448d28c84f20fabf4022ba938e40b7f382d2727dec6f41ac6267a')
  })
})

test('BF16 is the upper half of a float32, for all 65,536 values', () => {
  const floats = toFloats('BF16', new Uint8Array(ALL_HALVES.buffer))
  const bits = new Uint32Array(floats.buffer)
  expect([...bits].every((value, index) => value === index * 65_536)).toBe(true)
})

test('F64 is rounded to the nearest float32', () => {
  const doubles = Float64Array.of(
    0.1,
    1 + 2 ** -24,
    1 + 3 * 2 ** -24,
    1e300,
    -1e-60,
    Number.NaN,
    -0,
    -Infinity,
  )
  const expected = Float32Array.from(doubles, (value) => Math.fround(value))
  expect(toFloats('F64', new Uint8Array(doubles.buffer))).toEqual(expected)
})

test.each([
  ['I64', BigInt64Array.of(-(2n ** 63n), -1n, 2n ** 53n), [-(2 ** 63), -1, 2 ** 53]],
  ['U64', BigUint64Array.of(2n ** 64n - 1n, 3n), [2 ** 64, 3]],
  ['I32', Int32Array.of(-(2 ** 31), 7), [-(2 ** 31), 7]],
  ['U32', Uint32Array.of(2 ** 31), [2 ** 31]],
  ['I16', Int16Array.of(-32_768), [-32_768]],
  ['U16', Uint16Array.of(65_535), [65_535]],
  ['I8', Int8Array.of(-128), [-128]],
  ['U8', Uint8Array.of(255), [255]],
  ['BOOL', Uint8Array.of(0, 1), [0, 1]],
])('%s is converted', (dtype, values, expected) => {
  expect([...toFloats(dtype, new Uint8Array(values.buffer))]).toEqual(expected)
})

test.each(['F16', 'BF16', 'F64'])('%s is converted at more than 10 million values a second', (dtype) => {
  const bytes = new Uint8Array(1_000_000 * (dtype === 'F64' ? 8 : 2)).fill(60)
  let best = Infinity
  // The best of several runs, because other processes share the processor.
  for (let run = 0; run < 8; run += 1) {
    const start = performance.now()
    toFloats(dtype, bytes)
    best = Math.min(best, performance.now() - start)
  }
  expect(best).toBeLessThan(100)
})
