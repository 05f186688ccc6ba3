import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { advance, philox, unitFloat, type Words } from '../../../src/initializers/philox.ts'
import { deriveStream } from '../../../src/initializers/seeds.ts'
import { rawDraws } from '../support/oracle.ts'

const word = fc.integer({ min: 0, max: 0xffffffff })
const words = fc.tuple(word, word, word, word)

function toBigInt(counter: Words): bigint {
  return counter.reduce((sum, part, index) => sum | (BigInt(part) << BigInt(32 * index)), 0n)
}

describe('philox', () => {
  // The known answers of Random123 (kat_vectors, philox4x32 10).
  test.each([
    [
      [0, 0],
      [0, 0, 0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0xa4093822, 0x299f31d0],
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as [[number, number], Words, Words][])('gives the known block for key %j', (key, counter, expected) => {
    expect(philox(key, counter)).toEqual(expected)
  })

  test('maps different counters to different blocks', () => {
    fc.assert(
      fc.property(
        fc.tuple(word, word),
        words,
        fc.integer({ min: 1, max: 2 ** 40 }),
        (key, counter, steps) => {
          expect(philox(key, counter)).not.toEqual(philox(key, advance(counter, steps)))
        },
      ),
    )
  })

  test('makes floats in [0, 1) from the lower 23 bits', () => {
    expect(unitFloat(0)).toBe(0)
    expect(unitFloat(0xffffffff)).toBe(1 - 2 ** -23)
    fc.assert(fc.property(word, (bits) => unitFloat(bits) === ((bits & 0x7fffff) >>> 0) / 2 ** 23))
  })
})

describe('advance', () => {
  test('is an addition of 128 bits', () => {
    fc.assert(
      fc.property(words, fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), (counter, steps) => {
        const sum = (toBigInt(counter) + BigInt(steps)) & ((1n << 128n) - 1n)
        expect(toBigInt(advance(counter, steps))).toBe(sum)
      }),
    )
    expect(advance([0xffffffff, 0xffffffff, 0xffffffff, 0], 1)).toEqual([0, 0, 0, 1])
  })

  test.each(['uniform', 'normal', 'truncated_normal'] as const)(
    'allows drawing a %s tensor in slices',
    (kind) => {
      const stream = deriveStream([7, 3])
      const whole = rawDraws(kind, stream, 103)
      const blocks = kind === 'truncated_normal' ? 256 : 1
      for (const groups of [1, 2, 9, 25]) {
        const counter = advance(stream.counter, groups * blocks)
        expect(rawDraws(kind, { ...stream, counter }, 103 - 4 * groups)).toEqual(whole.slice(4 * groups))
      }
    },
  )
})

describe('deriveStream', () => {
  test('scrambles the seed vector [42, 0] as TensorFlow does', () => {
    const { key, counter } = deriveStream([42, 0])
    const joined = (low: number, high: number) => (BigInt(high) << 32n) | BigInt(low)
    expect(joined(...key).toString(16)).toBe('53939b0589e74cef')
    expect(joined(counter[2], counter[3]).toString(16)).toBe('b2ca7bfa8e9181c6')
    expect(counter.slice(0, 2)).toEqual([0, 0])
  })

  test.each([
    [2147483646, 0],
    [-1, 2147483645],
    [2 ** 40 + 7, Number((2n ** 40n + 7n) % 2147483646n)],
    [Number.MIN_SAFE_INTEGER, Number(2147483646n - (9007199254740991n % 2147483646n))],
  ])('reduces the seed %d as Keras does, to %d', (seed, reduced) => {
    expect(deriveStream([seed, 5])).toEqual(deriveStream([reduced, 5]))
  })

  test('gives every seed and every draw a separate stream', () => {
    const seeds = [0, 1, 42, 2147483645].flatMap((seed) =>
      [0, 1, 2].map((draw) => deriveStream([seed, draw])),
    )
    expect(new Set(seeds.map((stream) => JSON.stringify(stream))).size).toBe(12)
  })
})
