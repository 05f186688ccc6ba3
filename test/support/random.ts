/** Random choices; RESINIT_TEST_SEED repeats a run. */
export class Choices {
  readonly seed: number
  #state: number

  constructor(seed = Number(process.env['RESINIT_TEST_SEED'] ?? Date.now() % 2 ** 31)) {
    this.seed = seed
    this.#state = seed
    process.stdout.write(`RESINIT_TEST_SEED=${String(seed)} repeats these choices\n`)
  }

  /** mulberry32, in [0, 1). */
  unit(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let bits = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }

  /** An integer from low to high, inclusive. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.unit() * (high - low + 1))
  }

  of<T>(...values: readonly [T, ...T[]]): T {
    return values[this.integer(0, values.length - 1)] ?? values[0]
  }

  /** Three digits, for readable failures. */
  decimal(low: number, high: number): number {
    return Number((low + this.unit() * (high - low)).toFixed(3))
  }
}
