/** float32 has 23 bits of fraction; bfloat16, the coarsest that weights are rounded to, has 7. */
const FRACTION_BITS = 23
const FEWEST_BITS = 7
const FRACTION = 2 ** FRACTION_BITS - 1

/** The relative precision of float32 values that go by in slices: that of float16 or bfloat16 where they were rounded to it. */
export class Precision {
  /** The bits of the fraction that any value has. */
  #bits = 0

  add(values: Float32Array): void {
    const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
    let bits = 0
    for (const word of words) bits |= word
    this.#bits |= bits & FRACTION
  }

  /** Distance of neighbouring values, at most, beside their size. */
  result(): number {
    const lowest = this.#bits & -this.#bits
    const unused = this.#bits === 0 ? FRACTION_BITS : Math.log2(lowest)
    return 2 ** -Math.max(FEWEST_BITS, FRACTION_BITS - unused)
  }
}

/** A vector to look at, and how many different values one of a few bits has at most. */
const LINE_LENGTH = 64
const LEVELS = 24
const LINES = 8

/**
 * Whether the first rows or the first columns of a kernel each hold a few different values, as those of integers of 4 bits
 * and fewer do that have a scale for each.
 */
export function hasFewLevels(values: Float32Array, shape: readonly number[]): boolean {
  const columns = shape.at(-1) ?? 1
  const row = values.length / (shape[0] ?? 1)
  const lineAt = (start: number, step: number): Float32Array =>
    Float32Array.from({ length: LINE_LENGTH }, (_, index) => values[start + index * step] ?? 0)
  const count = (step: number, places: number, length: number, distance: number): boolean =>
    length >= LINE_LENGTH &&
    Array.from({ length: Math.min(LINES, places) }, (_, place) => lineAt(place * distance, step)).every(
      (line) => new Set(line).size <= LEVELS,
    )
  return count(1, shape[0] ?? 1, row, row) || count(columns, columns, values.length / columns, 1)
}
