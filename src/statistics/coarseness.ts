/** Fraction bits of float32, and of bfloat16, the coarsest format of weights. */
const FRACTION_BITS = 23
const FEWEST_BITS = 7
const FRACTION = 2 ** FRACTION_BITS - 1

/**
 * Measures the relative precision of float32 values in slices: float16's or bfloat16's if the values were rounded
 * to it.
 */
export class Precision {
  /** The fraction bits that are set in any value. */
  #bits = 0

  add(values: Float32Array): void {
    const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
    let bits = 0
    for (const word of words) bits |= word
    this.#bits |= bits & FRACTION
  }

  /** The relative distance of neighbouring values, at most. */
  result(): number {
    const lowest = this.#bits & -this.#bits
    const unused = this.#bits === 0 ? FRACTION_BITS : Math.log2(lowest)
    return 2 ** -Math.max(FEWEST_BITS, FRACTION_BITS - unused)
  }
}

/**
 * Entries of an inspected row or column, its largest number of distinct values for a few bits, and the number of
 * rows or columns.
 */
const LINE_LENGTH = 64
const LEVELS = 24
const LINES = 8

/**
 * True if each of the first rows or columns of a kernel has a few distinct values, as integers of 4 bits or fewer
 * with one scale per row or column.
 */
export function hasFewLevels(values: Float32Array, shape: readonly number[]): boolean {
  const columns = shape.at(-1) ?? 1
  const row = values.length / (shape[0] ?? 1)
  const lineAt = (start: number, step: number): Float32Array =>
    Float32Array.from({ length: LINE_LENGTH }, (_, index) => values[start + index * step] ?? 0)
  const count = (step: number, lines: number, length: number, distance: number): boolean =>
    length >= LINE_LENGTH &&
    Array.from({ length: Math.min(LINES, lines) }, (_, line) => lineAt(line * distance, step)).every(
      (line) => new Set(line).size <= LEVELS,
    )
  return count(1, shape[0] ?? 1, row, row) || count(columns, columns, values.length / columns, 1)
}
