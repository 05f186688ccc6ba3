import type { Logger } from 'pino'

/** Entries of the data folder that cannot be used. Each is logged once for each reason, until it is well again. */
export class BadEntries {
  readonly #logger: Logger | undefined
  readonly #reasons = new Map<string, string>()

  constructor(logger?: Logger) {
    this.#logger = logger
  }

  get count(): number {
    return this.#reasons.size
  }

  /** `entry` is a path within the data folder. */
  report(entry: string, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error)
    if (this.#reasons.get(entry) === reason) return
    this.#reasons.set(entry, reason)
    this.#logger?.error({ entry, err: error }, 'an entry of the data folder cannot be used and is left out')
  }

  /** It can be used, or is gone. */
  clear(entry: string): void {
    this.#reasons.delete(entry)
  }

  /** Of a folder that holds these: what is no longer there is forgotten. */
  retain(folder: string, names: readonly string[]): void {
    const there = new Set(names.map((name) => `${folder}/${name}`))
    for (const entry of this.#reasons.keys())
      if (entry.startsWith(`${folder}/`) && !there.has(entry)) this.#reasons.delete(entry)
  }
}
