import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { initializerNamed, resolveLaw } from '../../../src/initializers/catalogue.ts'
import { sizeOf } from '../../../src/initializers/fans.ts'
import { isElementwise, type Law } from '../../../src/initializers/law.ts'
import type { SeedVector } from '../../../src/initializers/seeds.ts'
import { drawLaw, floatOf } from '../support/oracle.ts'

interface Golden {
  readonly class_name: string
  readonly config: Record<string, unknown>
  readonly shape: number[]
  readonly seed: number | [number, number]
  readonly sha256: string
  readonly first: string[]
}

const file = new URL('../../golden/vectors/initializers.json', import.meta.url)
const golden = JSON.parse(readFileSync(file, 'utf8')) as Golden[]
const named = golden.map((entry) => ({
  ...entry,
  seed: (typeof entry.seed === 'number' ? [entry.seed, 0] : entry.seed) satisfies SeedVector,
  law: resolveLaw(initializerNamed(entry.class_name, entry.config), entry.shape, '#'),
  title: `${entry.class_name} ${JSON.stringify(entry.config)} [${entry.shape.join(', ')}] seed ${String(entry.seed)}`,
}))
const ofKind = (...kinds: Law['kind'][]) => named.filter(({ law }) => kinds.includes(law.kind))

/** The largest tensor that is compared completely; of larger ones only the first words are compared. */
const HASHED = 300_000

/** Normals may differ in the last bits of libm's sine and logarithm, relative to the normal before its mean. */
const NORMAL_TOLERANCE = 4e-7

describe('laws drawn by the reference equal Keras', () => {
  test('the vectors cover every kind', () => {
    const kinds = new Set(named.map(({ law }) => law.kind))
    expect([...kinds].sort()).toEqual([
      'constant',
      'identity',
      'normal',
      'orthogonal',
      'truncated_normal',
      'uniform',
    ])
  })

  test.each(ofKind('uniform'))('to the bit: $title', ({ law, shape, seed, sha256, first }) => {
    const size = sizeOf(shape)
    const values = drawLaw(law, size <= HASHED ? size : first.length, seed)
    expect([...values.subarray(0, first.length)]).toEqual(first.map(floatOf))
    if (size > HASHED) return
    expect(createHash('sha256').update(new Uint8Array(values.buffer)).digest('hex')).toBe(sha256)
  })

  test.each(ofKind('normal', 'truncated_normal'))('to rounding: $title', ({ law, seed, first }) => {
    if (!isElementwise(law) || law.kind === 'uniform') throw new TypeError('not a normal')
    const values = drawLaw(law, first.length, seed)
    first.map(floatOf).forEach((expected, index) => {
      const error = Math.abs((values[index] ?? NaN) - expected)
      expect(error).toBeLessThanOrEqual(NORMAL_TOLERANCE * Math.max(Math.abs(expected), Math.abs(law.mean)))
    })
  })

  test.each(ofKind('constant'))('as constants: $title', ({ law, first }) => {
    expect(law.kind === 'constant' && law.value).toBe(floatOf(first[0] ?? ''))
  })
})
