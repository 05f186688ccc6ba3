import Type, { type Static } from 'typebox'
import { nullable, Num } from '../common/schema.ts'

/** Distance of values from a reference of the same shape. */
export const Relative = Type.Object({
  /** |a - b| / |b|, where b is the reference; 0 if both are equal. */
  l2_distance: Num,
  cosine: nullable(Num, { description: '1 if both are equal; null if only one of them is all zeros' }),
})
export type Relative = Static<typeof Relative>

/** Sums over any number of slices, in float64. */
export class RelativeSums {
  #differences = 0
  #own = 0
  #reference = 0
  #products = 0

  add(values: Float32Array, reference: Float32Array): void {
    let [differences, own, squares, products] = [0, 0, 0, 0]
    for (let index = 0; index < values.length; index++) {
      const a = values[index] ?? 0
      const b = reference[index] ?? 0
      differences += (a - b) * (a - b)
      own += a * a
      squares += b * b
      products += a * b
    }
    this.#differences += differences
    this.#own += own
    this.#reference += squares
    this.#products += products
  }

  /** Adds the sums of another instance. */
  join(other: RelativeSums): void {
    this.#differences += other.#differences
    this.#own += other.#own
    this.#reference += other.#reference
    this.#products += other.#products
  }

  result(): Relative {
    if (this.#differences === 0) return { l2_distance: 0, cosine: 1 }
    const l2_distance = Math.sqrt(this.#differences) / Math.sqrt(this.#reference)
    if (this.#own === 0 || this.#reference === 0) return { l2_distance, cosine: null }
    const cosine = this.#products / (Math.sqrt(this.#own) * Math.sqrt(this.#reference))
    return { l2_distance, cosine: Math.max(-1, Math.min(1, cosine)) }
  }
}
