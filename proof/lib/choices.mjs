/** Random choices that repeat with the same seed (mulberry32). */
export class Choices {
  #state

  /** @param {number} seed */
  constructor(seed) {
    this.#state = seed | 0
  }

  /** In [0, 1). */
  unit() {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let bits = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }

  /** An integer in [0, below). @param {number} below */
  below(below) {
    return Math.floor(this.unit() * below)
  }

  /** An integer in [low, below). @param {number} low @param {number} below */
  between(low, below) {
    return low + this.below(below - low)
  }

  /** @template T @param {readonly T[]} list @returns {T} */
  of(list) {
    return /** @type {T} */ (list[this.below(list.length)])
  }

  /** @param {number} length */
  bytes(length) {
    return Buffer.from(Array.from({ length }, () => this.below(256)))
  }
}
