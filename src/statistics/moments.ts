import Type, { type Static } from 'typebox'
import { nullable, Num } from '../schema.ts'

/** Sample statistics over all finite values; NaN where there is none. Null where not defined. */
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

/**
 * Moments in one pass over any number of slices, in float64. Powers are summed about `center` in units of `unit`
 * (theory's mean and deviation, say), so that nothing cancels.
 */
export class MomentSums {
  readonly #center: number
  readonly #unit: number
  #count = 0
  #sum1 = 0
  #sum2 = 0
  #sum3 = 0
  #sum4 = 0
  #squares = 0
  #min = Infinity
  #max = -Infinity
  #zeros = 0
  #nonFinite = 0

  constructor(center: number, unit: number) {
    this.#center = center
    // What float32 cannot hold no value is measured in: powers would overflow.
    this.#unit = Math.fround(unit) > 0 && Math.fround(unit) < Infinity ? unit : 1
  }

  add(values: Float32Array): void {
    const sums = powerSums(values, this.#center, 1 / this.#unit)
    if (Number.isFinite(sums.fourth)) {
      this.#join(values.length, sums)
      return
    }
    // What is not finite is counted only.
    const kept = values.filter(Number.isFinite)
    this.#nonFinite += values.length - kept.length
    this.#join(kept.length, powerSums(kept, this.#center, 1 / this.#unit))
  }

  #join(count: number, { first, second, third, fourth, squares, min, max, zeros }: PowerSums): void {
    this.#count += count
    this.#sum1 += first
    this.#sum2 += second
    this.#sum3 += third
    this.#sum4 += fourth
    this.#squares += squares
    this.#min = Math.min(this.#min, min)
    this.#max = Math.max(this.#max, max)
    this.#zeros += zeros
  }

  result(): SampleMoments {
    const n = this.#count
    const m1 = this.#sum1 / n
    const [e2, e3, e4] = [this.#sum2 / n, this.#sum3 / n, this.#sum4 / n]
    const central2 = Math.max(0, e2 - m1 * m1)
    const central3 = e3 - 3 * m1 * e2 + 2 * m1 ** 3
    const central4 = e4 - 4 * m1 * e3 + 6 * m1 * m1 * e2 - 3 * m1 ** 4
    // A constant tensor leaves nothing but the rounding of its own square.
    const constant = this.#min === this.#max
    const shapeless = constant || n === 0
    const variance = constant ? 0 : central2 * this.#unit ** 2
    return {
      mean: constant ? this.#min : this.#center + m1 * this.#unit,
      std: Math.sqrt(variance),
      variance,
      skewness: shapeless ? null : central3 / central2 ** 1.5,
      kurtosis: shapeless ? null : central4 / central2 ** 2 - 3,
      min: n === 0 ? Number.NaN : this.#min,
      max: n === 0 ? Number.NaN : this.#max,
      zeros: this.#zeros,
      l2_norm: Math.sqrt(this.#squares),
      non_finite: this.#nonFinite,
    }
  }
}

interface PowerSums {
  readonly first: number
  readonly second: number
  readonly third: number
  readonly fourth: number
  /** Of the values themselves, about 0. */
  readonly squares: number
  readonly min: number
  readonly max: number
  readonly zeros: number
}

/** Two by two, so that one sum need not wait for the other; and without a branch, which would be mispredicted. */
function powerSums(values: Float32Array, center: number, scale: number): PowerSums {
  let [a1, a2, a3, a4, b1, b2, b3, b4] = [0, 0, 0, 0, 0, 0, 0, 0]
  let [squares, zeros, min, max] = [0, 0, Infinity, -Infinity]
  const { length } = values
  for (let index = 0; index < length; index += 2) {
    const left = values[index] ?? 0
    const right = values[index + 1] ?? center
    const a = (left - center) * scale
    const b = (right - center) * scale
    const aa = a * a
    const bb = b * b
    a1 += a
    b1 += b
    a2 += aa
    b2 += bb
    a3 += aa * a
    b3 += bb * b
    a4 += aa * aa
    b4 += bb * bb
  }
  for (let index = 0; index < length; index++) {
    const value = values[index] ?? 0
    squares += value * value
    min = Math.min(min, value)
    max = Math.max(max, value)
    zeros += value === 0 ? 1 : 0
  }
  return { first: a1 + b1, second: a2 + b2, third: a3 + b3, fourth: a4 + b4, squares, min, max, zeros }
}
