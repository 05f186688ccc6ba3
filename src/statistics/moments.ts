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
    const center = this.#center
    const scale = 1 / this.#unit
    let [sum1, sum2, sum3, sum4, squares, zeros, nonFinite] = [0, 0, 0, 0, 0, 0, 0]
    let min = this.#min
    let max = this.#max
    // By index: a third faster than by iterator.
    const { length } = values
    for (let index = 0; index < length; index++) {
      const value = values[index] ?? 0
      if (value - value !== 0) {
        nonFinite++
        continue
      }
      const d = (value - center) * scale
      const d2 = d * d
      sum1 += d
      sum2 += d2
      sum3 += d2 * d
      sum4 += d2 * d2
      squares += value * value
      if (value < min) min = value
      if (value > max) max = value
      if (value === 0) zeros++
    }
    this.#count += values.length - nonFinite
    this.#sum1 += sum1
    this.#sum2 += sum2
    this.#sum3 += sum3
    this.#sum4 += sum4
    this.#squares += squares
    this.#min = min
    this.#max = max
    this.#zeros += zeros
    this.#nonFinite += nonFinite
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
