import { raceAbort } from '../common/cancellation.ts'

/** The limits of the cache. */
export interface ResultCacheLimits {
  readonly entries: number
  /** The total size of the results as JSON, in UTF-16 units. */
  readonly characters: number
}

/** A running computation and the number of its callers. */
interface Pending {
  readonly result: Promise<string>
  readonly controller: AbortController
  callers: number
}

/**
 * A cache of results that are pure functions of their key; evicts the least recently used. Concurrent callers of one key
 * share one computation, which is aborted when the last of them aborts. Failures are not cached.
 */
export class ResultCache {
  readonly #limits: ResultCacheLimits
  /** In order of last use. */
  readonly #cached = new Map<string, string>()
  readonly #pending = new Map<string, Pending>()
  #characters = 0

  constructor(limits: ResultCacheLimits) {
    this.#limits = limits
  }

  /** The result for a key as JSON: cached, from a running computation, or computed now and serialized by `toJson`. */
  async get<A>(
    key: string,
    signal: AbortSignal,
    compute: (signal: AbortSignal) => Promise<A>,
    toJson: (answer: A) => string,
  ): Promise<string> {
    // An aborted signal emits no event: the computation would continue without a caller.
    signal.throwIfAborted()
    const cached = this.#cached.get(key)
    if (cached !== undefined) {
      this.#cached.delete(key)
      this.#cached.set(key, cached)
      return cached
    }
    const pending = this.#pending.get(key) ?? this.#begin(key, compute, toJson)
    pending.callers += 1
    const onAbort = (): void => {
      pending.callers -= 1
      if (pending.callers > 0) return
      // Later callers start a new computation.
      this.#removePending(key, pending)
      pending.controller.abort(signal.reason)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      return await raceAbort(pending.result, signal)
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  #begin<A>(
    key: string,
    compute: (signal: AbortSignal) => Promise<A>,
    toJson: (answer: A) => string,
  ): Pending {
    const controller = new AbortController()
    const result = compute(controller.signal)
      .then((computed) => {
        const json = toJson(computed)
        this.#add(key, json)
        return json
      })
      .finally(() => {
        this.#removePending(key, pending)
      })
    const pending: Pending = { result, controller, callers: 0 }
    this.#pending.set(key, pending)
    return pending
  }

  #removePending(key: string, pending: Pending): void {
    if (this.#pending.get(key) === pending) this.#pending.delete(key)
  }

  #add(key: string, json: string): void {
    this.#cached.set(key, json)
    this.#characters += json.length
    for (const [oldest, { length }] of this.#cached) {
      if (this.#cached.size <= this.#limits.entries && this.#characters <= this.#limits.characters) return
      this.#cached.delete(oldest)
      this.#characters -= length
    }
  }
}
