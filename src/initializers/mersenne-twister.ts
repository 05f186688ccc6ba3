const STATE_WORDS = 624
const MIDDLE_WORD = 397

/**
 * CPython's `random.Random` for integer seeds: MT19937 (Matsumoto and Nishimura 1998, `mt19937ar.c`) seeded by
 * `init_by_array` with the 32-bit words of the seed's absolute value, lowest first (`Modules/_randommodule.c`).
 */
export class PythonRandom {
  readonly #state = new Uint32Array(STATE_WORDS)
  #next = STATE_WORDS

  /** Seeds as `random.seed(seed)` does for a safe integer. */
  constructor(seed: number) {
    const size = Math.abs(seed)
    const high = Math.floor(size / 2 ** 32)
    this.#seed(high === 0 ? [size] : [size % 2 ** 32, high])
  }

  /**
   * `random.randint(low, high)` for a span below 2^32. Like `_randbelow` it takes as many upper bits of a word as
   * the span has, and redraws values beyond it (`Lib/random.py`).
   */
  integer(low: number, high: number): number {
    const span = high - low + 1
    const shift = Math.clz32(span)
    for (;;) {
      const value = this.#word() >>> shift
      if (value < span) return low + value
    }
  }

  /** `init_by_array` of the reference, applied to the state after `init_genrand(19650218)`. */
  #seed(key: readonly number[]): void {
    const state = this.#state
    const at = (index: number): number => state[index] ?? 0
    const mixed = (index: number): number => at(index - 1) ^ (at(index - 1) >>> 30)
    state[0] = 19650218
    for (let i = 1; i < STATE_WORDS; i++) state[i] = Math.imul(1812433253, mixed(i)) + i
    let i = 1
    const step = (value: number): void => {
      state[i] = value
      i += 1
      if (i < STATE_WORDS) return
      state[0] = at(STATE_WORDS - 1)
      i = 1
    }
    for (let k = 0; k < STATE_WORDS; k++) {
      const j = k % key.length
      step((at(i) ^ Math.imul(mixed(i), 1664525)) + (key[j] ?? 0) + j)
    }
    for (let k = 1; k < STATE_WORDS; k++) step((at(i) ^ Math.imul(mixed(i), 1566083941)) - i)
    state[0] = 0x80000000
  }

  #word(): number {
    if (this.#next === STATE_WORDS) this.#advance()
    let y = this.#state[this.#next++] ?? 0
    y ^= y >>> 11
    y ^= (y << 7) & 0x9d2c5680
    y ^= (y << 15) & 0xefc60000
    return (y ^ (y >>> 18)) >>> 0
  }

  #advance(): void {
    const state = this.#state
    const at = (index: number): number => state[index % STATE_WORDS] ?? 0
    for (let i = 0; i < STATE_WORDS; i++) {
      const y = (at(i) & 0x80000000) | (at(i + 1) & 0x7fffffff)
      state[i] = at(i + MIDDLE_WORD) ^ (y >>> 1) ^ ((y & 1) * 0x9908b0df)
    }
    this.#next = 0
  }
}
