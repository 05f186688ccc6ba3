import { philox, unitFloat, type Words } from '../initializers/philox.ts'
import type { Stream } from '../initializers/seeds.ts'
import { sortFloats } from './order.ts'

/**
 * A seeded subsample of a tensor that goes by in slices: one value from each of `size` equal stretches, at a place the
 * stream decides. The places never depend on the values, so independent entries stay independent.
 */
export class Subsample {
  readonly #total: number
  readonly #stream: Stream
  readonly #values: Float32Array
  /** Random bits for four places; they are asked for in order. */
  #words: Words = [0, 0, 0, 0]
  #taken = 0
  #passed = 0
  #next: number

  constructor(total: number, size: number, stream: Stream) {
    this.#total = total
    this.#stream = stream
    this.#values = new Float32Array(Math.min(total, size))
    this.#next = this.#place(0)
  }

  add(values: Float32Array): void {
    if (this.#values.length === this.#total) {
      this.#values.set(values, this.#passed)
      this.#passed += values.length
      this.#taken = this.#passed
      return
    }
    const end = this.#passed + values.length
    while (this.#taken < this.#values.length && this.#next < end) {
      this.#values[this.#taken] = values[this.#next - this.#passed] ?? 0
      this.#taken += 1
      this.#next = this.#place(this.#taken)
    }
    this.#passed = end
  }

  /** What is finite of it. */
  finite(): Float32Array {
    const values = this.#values
    let kept = 0
    for (let index = 0; index < this.#taken; index++) {
      const value = values[index] ?? 0
      if (value - value === 0) values[kept++] = value
    }
    this.#taken = kept
    return values.subarray(0, kept)
  }

  /** The same in order. */
  sorted(): Float32Array {
    return sortFloats(this.finite())
  }

  #place(index: number): number {
    const size = this.#values.length
    const { key, counter } = this.#stream
    const word = index % 4
    if (word === 0) this.#words = philox(key, [index / 4, 0, counter[2], counter[3]])
    const bits = this.#words[word] ?? 0
    // Stretches begin and end at whole places, equal but for one, so that no value is taken twice.
    const start = Math.floor((index * this.#total) / size)
    const end = Math.floor(((index + 1) * this.#total) / size)
    return start + Math.floor(unitFloat(bits) * (end - start))
  }
}
