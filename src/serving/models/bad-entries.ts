import type { Logger } from 'pino'

/** The unusable entries of the data folder. Each is logged once per reason until it is usable again. */
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
    this.#logger?.error({ entry, err: error }, 'an entry of the data folder cannot be used and is ignored')
  }

  /** Removes an entry that is usable again or was deleted. */
  clear(entry: string): void {
    this.#reasons.delete(entry)
  }

  /** Removes the entries of a folder that are not among these names. */
  retain(folder: string, names: readonly string[]): void {
    const existing = new Set(names.map((name) => `${folder}/${name}`))
    for (const entry of this.#reasons.keys())
      if (entry.startsWith(`${folder}/`) && !existing.has(entry)) this.#reasons.delete(entry)
  }
}
