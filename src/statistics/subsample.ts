import { philox, unitFloat } from '../initializers/philox.ts'
import type { Stream } from '../initializers/seeds.ts'

/**
 * A seeded subsample of a tensor that goes by in slices: one value from each of `size` equal stretches, at a place the
 * stream decides. The places never depend on the values, so independent entries stay independent.
 */
export class Subsample {
  readonly #total: number
  readonly #stream: Stream
  readonly #values: Float32Array
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
    const end = this.#passed + values.length
    while (this.#taken < this.#values.length && this.#next < end) {
      this.#values[this.#taken] = values[this.#next - this.#passed] ?? 0
      this.#taken += 1
      this.#next = this.#place(this.#taken)
    }
    this.#passed = end
  }

  /** What is finite of it, in order. */
  sorted(): Float32Array {
    return this.#values.subarray(0, this.#taken).filter(Number.isFinite).sort()
  }

  #place(index: number): number {
    const size = this.#values.length
    if (size === this.#total) return index
    const { key, counter } = this.#stream
    const [bits] = philox(key, [index, 0, counter[2], counter[3]])
    // Stretches begin and end at whole places, equal but for one, so that no value is taken twice.
    const start = Math.floor((index * this.#total) / size)
    const end = Math.floor(((index + 1) * this.#total) / size)
    return start + Math.floor(unitFloat(bits) * (end - start))
  }
}
