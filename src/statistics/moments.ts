import Type, { type Static } from 'typebox'
import { nullable, Num } from '../common/schema.ts'

/** Sample statistics over all finite values; NaN if there are none. Null if not defined. */
export const SampleMoments = Type.Object({
  mean: Num,
  std: Num,
  variance: Num,
  skewness: nullable(Num),
  kurtosis: nullable(Num),
  min: Num,
  max: Num,
  zeros: Type.Integer(),
  l2_norm: Num,
  non_finite: Type.Integer(),
})
export type SampleMoments = Static<typeof SampleMoments>

/** Values per block: 16 KB, so that the second pass reads them from the first cache. */
const BLOCK = 4096

/**
 * Moments about the mean, in float64, of values in slices. Each block of values is summed about its own mean and
 * merged into the total (Chan et al. 1983, Pébay 2008, SAND2008-6212), so a mean that is large relative to the
 * spread cancels no digits. No power of a float32 deviation leaves the range of float64. Blocks are counted from
 * the first value, so the result is the same for all slicings, bit for bit.
 */
export class MomentSums {
  #total: Moments = NOTHING
  #nonFinite = 0
  /** Values of the incomplete block. */
  readonly #pending = new Float32Array(BLOCK)
  #waiting = 0

  add(values: Float32Array): void {
    let start = 0
    if (this.#waiting > 0) {
      start = Math.min(BLOCK - this.#waiting, values.length)
      this.#pending.set(values.subarray(0, start), this.#waiting)
      this.#waiting += start
      if (this.#waiting < BLOCK) return
      this.#merge(this.#pending)
    }
    for (; start + BLOCK <= values.length; start += BLOCK) this.#merge(values.subarray(start, start + BLOCK))
    this.#pending.set(values.subarray(start))
    this.#waiting = values.length - start
  }

  #merge(block: Float32Array): void {
    const sums = powerSums(block)
    if (Number.isFinite(sums.squares)) {
      this.#total = merged(this.#total, centralMoments(block, sums))
      return
    }
    const kept = block.filter(Number.isFinite)
    this.#nonFinite += block.length - kept.length
    this.#total = merged(this.#total, centralMoments(kept, powerSums(kept)))
  }

  /** Moments of all values. No further call of `add` is allowed. */
  result(): SampleMoments {
    this.#merge(this.#pending.subarray(0, this.#waiting))
    this.#waiting = 0
    const { count: n, mean, second, third, fourth, squares, min, max, zeros } = this.#total
    const constant = min === max
    const shapeless = constant || n === 0
    const variance = constant ? 0 : second / n
    return {
      mean: n === 0 ? Number.NaN : constant ? min : mean,
      std: Math.sqrt(variance),
      variance,
      skewness: shapeless ? null : third / n / variance ** 1.5,
      // Rounding may go below the minimum of -2.
      kurtosis: shapeless ? null : Math.max(-2, fourth / n / variance ** 2 - 3),
      min: n === 0 ? Number.NaN : min,
      max: n === 0 ? Number.NaN : max,
      zeros,
      l2_norm: Math.sqrt(squares),
      non_finite: this.#nonFinite,
    }
  }
}

interface PowerSums {
  readonly sum: number
  /** Sum of squares about 0. */
  readonly squares: number
  readonly min: number
  readonly max: number
  readonly zeros: number
}

interface Moments extends Omit<PowerSums, 'sum'> {
  readonly count: number
  readonly mean: number
  /** Sums of the powers of the deviations from the mean. */
  readonly second: number
  readonly third: number
  readonly fourth: number
}

const NOTHING: Moments = {
  ...{ count: 0, mean: 0, second: 0, third: 0, fourth: 0 },
  ...{ squares: 0, min: Infinity, max: -Infinity, zeros: 0 },
}

/** Two accumulators of each kind, so that additions do not depend on each other. */
function powerSums(values: Float32Array): PowerSums {
  let [a1, a2, b1, b2, zeros, min, max] = [0, 0, 0, 0, 0, Infinity, -Infinity]
  const { length } = values
  for (let index = 0; index < length; index += 2) {
    const a = values[index] ?? 0
    const b = values[index + 1] ?? a
    const counted = index + 1 < length ? 1 : 0
    a1 += a
    b1 += b * counted
    a2 += a * a
    b2 += b * b * counted
    min = Math.min(min, a, b)
    max = Math.max(max, a, b)
    zeros += (a === 0 ? 1 : 0) + (b === 0 ? counted : 0)
  }
  return { sum: a1 + b1, squares: a2 + b2, min, max, zeros }
}

function centralMoments(values: Float32Array, { sum, ...others }: PowerSums): Moments {
  const { length: count } = values
  if (count === 0) return NOTHING
  const mean = sum / count
  let [a2, a3, a4, b2, b3, b4] = [0, 0, 0, 0, 0, 0]
  for (let index = 0; index < count; index += 2) {
    const a = (values[index] ?? 0) - mean
    const b = (values[index + 1] ?? mean) - mean
    const aa = a * a
    const bb = b * b
    a2 += aa
    b2 += bb
    a3 += aa * a
    b3 += bb * b
    a4 += aa * aa
    b4 += bb * bb
  }
  return { count, mean, second: a2 + b2, third: a3 + b3, fourth: a4 + b4, ...others }
}

function merged(a: Moments, b: Moments): Moments {
  if (b.count === 0) return a
  if (a.count === 0) return b
  const count = a.count + b.count
  const [shareA, shareB] = [a.count / count, b.count / count]
  const delta = b.mean - a.mean
  const square = delta * delta * a.count * shareB
  return {
    count,
    mean: a.mean + delta * shareB,
    second: a.second + b.second + square,
    third:
      a.third +
      b.third +
      square * delta * (shareA - shareB) +
      3 * delta * (shareA * b.second - shareB * a.second),
    fourth:
      a.fourth +
      b.fourth +
      square * delta * delta * (shareA * shareA - shareA * shareB + shareB * shareB) +
      6 * delta * delta * (shareA * shareA * b.second + shareB * shareB * a.second) +
      4 * delta * (shareA * b.third - shareB * a.third),
    squares: a.squares + b.squares,
    min: Math.min(a.min, b.min),
    max: Math.max(a.max, b.max),
    zeros: a.zeros + b.zeros,
  }
}
