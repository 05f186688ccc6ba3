import { isElementwise, affineOf, type Law } from '../../../src/initializers/law.ts'
import { normalCdf } from '../../../src/initializers/normal.ts'
import { advance, philox, unitFloat, type Words } from '../../../src/initializers/philox.ts'
import { deriveStream, type SeedVector, type Stream } from '../../../src/initializers/seeds.ts'

/** Blocks that a truncated normal reserves for each group of four outputs (`random_op_cpu.h`). */
const RESERVED_BLOCKS = 256
const GROUP = 4
const SMALLEST_UNIFORM = 1e-7

type Kind = 'uniform' | 'normal' | 'truncated_normal'

/**
 * TensorFlow's stateless draws in JavaScript: uniforms with the same bits, normals except for the last bits
 * of sine and logarithm. `count` raw values from the stream's first block on.
 */
export function rawDraws(kind: Kind, { key, counter }: Stream, count: number): Float32Array {
  const values = new Float32Array(count)
  for (let start = 0; start < count; start += GROUP) {
    const group = start / GROUP
    const draw = kind === 'truncated_normal' ? truncatedGroup : kind === 'normal' ? normalGroup : uniformGroup
    const at = advance(counter, kind === 'truncated_normal' ? group * RESERVED_BLOCKS : group)
    values.set(draw((block) => philox(key, block), at).slice(0, count - start), start)
  }
  return values
}

/** A tensor's values: raw * scale + offset, each operation rounded to float32. */
export function drawLaw(law: Law, size: number, seed: SeedVector): Float32Array {
  if (!isElementwise(law)) throw new TypeError(`${law.kind} is not drawn entry by entry`)
  if (law.kind === 'bounded_normal') return boundedDraws(law, deriveStream(seed), size)
  const { scale, offset } = affineOf(law)
  return rawDraws(law.kind, deriveStream(seed), size).map((raw) => Math.fround(raw * scale) + offset)
}

/** A normal between bounds: inverts the distribution function at 52-bit uniforms by bisection. */
function boundedDraws(
  { mean, std, low, high }: Extract<Law, { kind: 'bounded_normal' }>,
  { key, counter }: Stream,
  count: number,
): Float32Array {
  // Above the mean the uniform is the probability of the upper tail.
  const above = low > mean
  const tail = (x: number): number => normalCdf(above ? (mean - x) / std : (x - mean) / std)
  const [from, to] = above ? [tail(high), tail(low)] : [tail(low), tail(high)]
  return Float32Array.from({ length: count }, (_, index) => {
    const words = philox(key, advance(counter, Math.floor(index / 2)))
    const [lower = 0, upper = 0] = words.slice(2 * (index % 2))
    const wanted = from + (to - from) * ((upper % 2 ** 20) / 2 ** 20 + lower / 2 ** 52)
    let [left, right] = [low, high]
    for (let step = 0; step < 80; step++) {
      const middle = (left + right) / 2
      if (tail(middle) < wanted !== above) left = middle
      else right = middle
    }
    return left
  })
}

/** The hexadecimal big-endian words of float32 values, as in the golden vectors. */
export function floatOf(hex: string): number {
  return Buffer.from(hex, 'hex').readFloatBE()
}

type Block = (counter: Words) => Words

function uniformGroup(block: Block, counter: Words): number[] {
  return block(counter).map(unitFloat)
}

function normalGroup(block: Block, counter: Words): number[] {
  const [a, b, c, d] = block(counter)
  return [...boxMuller(a, b), ...boxMuller(c, d)]
}

function truncatedGroup(block: Block, counter: Words): number[] {
  const kept: number[] = []
  for (let step = 0; kept.length < GROUP; step++) {
    const [a, b, c, d] = block(advance(counter, step))
    kept.push(...[...boxMuller(a, b), ...boxMuller(c, d)].filter((z) => Math.abs(z) < 2))
  }
  return kept
}

function boxMuller(first: number, second: number): [number, number] {
  const u = Math.max(unitFloat(first), Math.fround(SMALLEST_UNIFORM))
  const angle = Math.fround(2 * Math.PI * unitFloat(second))
  const radius = Math.fround(Math.sqrt(Math.fround(-2 * Math.fround(Math.log(u)))))
  return [
    Math.fround(Math.fround(Math.sin(angle)) * radius),
    Math.fround(Math.fround(Math.cos(angle)) * radius),
  ]
}
