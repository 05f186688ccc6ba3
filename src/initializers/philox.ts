/**
 * Philox4x32-10, the counter-based generator of TensorFlow's stateless random ops (Salmon et al., "Parallel random
 * numbers: as easy as 1, 2, 3", SC 2011; `tensorflow/core/lib/random/philox_random.h`).
 *
 * TensorFlow itself draws all weights. This port computes the keys and counters of slices, selects subsamples, and
 * is an independent reference for tests.
 */
export type Words = readonly [number, number, number, number]
export type Key = readonly [number, number]

const ROUNDS = 10
const MULTIPLIER_A = 0xd2511f53
const MULTIPLIER_B = 0xcd9e8d57
const WEYL_A = 0x9e3779b9
const WEYL_B = 0xbb67ae85

/** One block: four 32-bit outputs for a 64-bit key and a 128-bit counter, little-endian words. */
export function philox(key: Key, counter: Words): Words {
  let [a, b, c, d] = counter
  let [k0, k1] = key
  for (let round = 0; round < ROUNDS; round++) {
    const highA = multiplyHigh(MULTIPLIER_A, a)
    const highB = multiplyHigh(MULTIPLIER_B, c)
    const lowA = Math.imul(MULTIPLIER_A, a) >>> 0
    const lowB = Math.imul(MULTIPLIER_B, c) >>> 0
    a = (highB ^ b ^ k0) >>> 0
    b = lowB
    c = (highA ^ d ^ k1) >>> 0
    d = lowA
    k0 = (k0 + WEYL_A) >>> 0
    k1 = (k1 + WEYL_B) >>> 0
  }
  return [a, b, c, d]
}

/** The upper 32 bits of a 32x32 bit product. Halves of 16 bits are multiplied, because doubles hold 53 bits. */
function multiplyHigh(x: number, y: number): number {
  const xl = x & 0xffff
  const xh = x >>> 16
  const yl = y & 0xffff
  const yh = y >>> 16
  // No sum reaches 2^32, so integer operations suffice.
  const middle = (Math.imul(xh, yl) + (Math.imul(xl, yl) >>> 16)) >>> 0
  const cross = (Math.imul(xl, yh) + (middle & 0xffff)) >>> 0
  return (Math.imul(xh, yh) + (middle >>> 16) + (cross >>> 16)) >>> 0
}

/** Adds `steps` blocks to a 128-bit counter. */
export function advance(counter: Words, steps: number): Words {
  const low = BigInt(counter[0]) | (BigInt(counter[1]) << 32n)
  const high = BigInt(counter[2]) | (BigInt(counter[3]) << 32n)
  const sum = ((high << 64n) | low) + BigInt(steps)
  const word = (shift: bigint): number => Number((sum >> shift) & 0xffffffffn)
  return [word(0n), word(32n), word(64n), word(96n)]
}

/**
 * A float32 in [0, 1) from 32 random bits, as `Uint32ToFloat` in TensorFlow: the lower 23 bits become the mantissa.
 */
export function unitFloat(bits: number): number {
  return (bits & 0x7fffff) / 0x800000
}
