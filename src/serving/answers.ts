/** How much is kept, whichever is reached first. */
export interface AnswersLimits {
  readonly entries: number
  /** Of the answers as JSON, in UTF-16 units. */
  readonly characters: number
}

/**
 * Answers that are pure functions of their key, kept while they are asked for: the least lately used go first. Concurrent
 * askers of one key share one computation; one that fails is not kept.
 */
export class Answers {
  readonly #limits: AnswersLimits
  /** In order of last use. */
  readonly #kept = new Map<string, string>()
  readonly #pending = new Map<string, Promise<string>>()
  #characters = 0

  constructor(limits: AnswersLimits) {
    this.#limits = limits
  }

  /** The answer to a key as JSON: kept, on its way, or computed now and written by `toJson`. */
  get<A>(key: string, compute: () => Promise<A>, toJson: (answer: A) => string): Promise<string> {
    const kept = this.#kept.get(key)
    if (kept !== undefined) {
      this.#kept.delete(key)
      this.#kept.set(key, kept)
      return Promise.resolve(kept)
    }
    const pending = this.#pending.get(key)
    if (pending) return pending
    const answer = compute()
      .then((computed) => {
        const json = toJson(computed)
        this.#keep(key, json)
        return json
      })
      .finally(() => this.#pending.delete(key))
    this.#pending.set(key, answer)
    return answer
  }

  #keep(key: string, json: string): void {
    this.#kept.set(key, json)
    this.#characters += json.length
    for (const [oldest, { length }] of this.#kept) {
      if (this.#kept.size <= this.#limits.entries && this.#characters <= this.#limits.characters) return
      this.#kept.delete(oldest)
      this.#characters -= length
    }
  }
}
