import { raceAbort } from '../common/cancellation.ts'

/** How much is kept, whichever is reached first. */
export interface AnswersLimits {
  readonly entries: number
  /** Of the answers as JSON, in UTF-16 units. */
  readonly characters: number
}

/** A question on its way, and how many wait for it. */
interface Pending {
  readonly answer: Promise<string>
  readonly controller: AbortController
  askers: number
}

/**
 * Answers that are pure functions of their key, kept while they are asked for: the least lately used go first. Concurrent
 * askers of one key share one computation; it is ended when the last of them has left. One that fails is not kept.
 */
export class ResultCache {
  readonly #limits: AnswersLimits
  /** In order of last use. */
  readonly #kept = new Map<string, string>()
  readonly #pending = new Map<string, Pending>()
  #characters = 0

  constructor(limits: AnswersLimits) {
    this.#limits = limits
  }

  /** The answer to a key as JSON: kept, on its way, or computed now and written by `toJson`. */
  async get<A>(
    key: string,
    asker: AbortSignal,
    compute: (signal: AbortSignal) => Promise<A>,
    toJson: (answer: A) => string,
  ): Promise<string> {
    // One that has left already is never heard leaving: its question would wait for nobody.
    asker.throwIfAborted()
    const kept = this.#kept.get(key)
    if (kept !== undefined) {
      this.#kept.delete(key)
      this.#kept.set(key, kept)
      return kept
    }
    const pending = this.#pending.get(key) ?? this.#begin(key, compute, toJson)
    pending.askers += 1
    const leave = (): void => {
      pending.askers -= 1
      if (pending.askers > 0) return
      // Who comes later asks anew.
      this.#forget(key, pending)
      pending.controller.abort(asker.reason)
    }
    asker.addEventListener('abort', leave, { once: true })
    try {
      return await raceAbort(pending.answer, asker)
    } finally {
      asker.removeEventListener('abort', leave)
    }
  }

  #begin<A>(
    key: string,
    compute: (signal: AbortSignal) => Promise<A>,
    toJson: (answer: A) => string,
  ): Pending {
    const controller = new AbortController()
    const answer = compute(controller.signal)
      .then((computed) => {
        const json = toJson(computed)
        this.#keep(key, json)
        return json
      })
      .finally(() => {
        this.#forget(key, pending)
      })
    const pending: Pending = { answer, controller, askers: 0 }
    this.#pending.set(key, pending)
    return pending
  }

  #forget(key: string, pending: Pending): void {
    if (this.#pending.get(key) === pending) this.#pending.delete(key)
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
