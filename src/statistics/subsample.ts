import { philox, unitFloat } from '../initializers/philox.ts'
import type { Stream } from '../initializers/seeds.ts'
import { sortFloats } from './order.ts'

/**
 * Multiples of the golden ratio, modulo 1, are evenly distributed (Weyl 1916) and never periodic with channels or
 * rows.
 */
const GOLDEN = 0.6180339887498949

/**
 * A seeded subsample of a tensor in slices: one value from each of `size` equal stretches, at a position that
 * advances by the golden ratio from the start that the stream gives. Positions do not depend on values, so
 * independent entries stay independent.
 */
export class Subsample {
  readonly #total: number
  readonly #values: Float32Array
  /** Position of the first value in its stretch, as a share. */
  readonly #phase: number
  #taken = 0
  #passed = 0

  constructor(total: number, size: number, { key, counter }: Stream) {
    this.#total = total
    this.#values = new Float32Array(Math.min(total, size))
    this.#phase = unitFloat(philox(key, counter)[0])
  }

  add(values: Float32Array): void {
    const total = this.#total
    const size = this.#values.length
    const passed = this.#passed
    const end = passed + values.length
    this.#passed = end
    if (size === total) {
      this.#values.set(values, passed)
      this.#taken = end
      return
    }
    const phase = this.#phase
    const sample = this.#values
    let index = this.#taken
    for (; index < size; index++) {
      // Stretches have integer ends and differ in length by one at most, so no value is selected twice.
      const start = Math.floor((index * total) / size)
      const stretch = Math.floor(((index + 1) * total) / size) - start
      const share = phase + index * GOLDEN
      const position = start + Math.floor((share - Math.floor(share)) * stretch)
      if (position >= end) break
      sample[index] = values[position - passed] ?? 0
    }
    this.#taken = index
  }

  /** The selected values in the order of the tensor. */
  values(): Float32Array {
    return this.#values.subarray(0, this.#taken)
  }

  /** The finite selected values, sorted. */
  sorted(): Float32Array {
    return sortFloats(keepFinite(this.values()))
  }
}

/** Moves the finite values to the front, in place, and returns them. */
export function keepFinite(values: Float32Array): Float32Array {
  let kept = 0
  for (const value of values) {
    if (value - value === 0) values[kept++] = value
  }
  return values.subarray(0, kept)
}
