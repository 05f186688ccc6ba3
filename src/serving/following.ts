import type { Logger } from 'pino'
import type { Directory } from './directory.ts'
import type { Entry } from './model.ts'
import type { Store, StoredModel } from './store.ts'

export interface FollowingOptions {
  readonly store: Store
  readonly entries: Directory<Entry>
  readonly logger: Logger
  /** A record that is new here; throws where no model can be made of it. */
  readonly arrived: (record: StoredModel) => void
  /** A model that another service has deleted. */
  readonly left: (entry: Entry) => void
}

/** How often the folder is looked at unasked. */
const EVERY_MS = 500

/**
 * What other services do to the data folder, taken over by looking: file systems that hosts share send no word of it.
 * Looking costs the times of two folders, and more only where these have changed. Where the folder cannot be read, what
 * is known stays.
 */
export class Following {
  readonly #options: FollowingOptions
  /** Whoever asks shares the look that has not begun yet. */
  #next: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  readonly #unreadable = new Set<string>()
  #failing = false

  constructor(options: FollowingOptions) {
    this.#options = options
  }

  /** Looks again and again, until it is closed. */
  start(): void {
    this.#timer = setInterval(() => {
      void this.look()
    }, EVERY_MS)
    this.#timer.unref()
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#next
  }

  /** Resolves when what was there before the call is known here. */
  look(): Promise<void> {
    this.#next ??= this.#options.entries.inTurn(async () => {
      this.#next = undefined
      try {
        await this.#takeOver()
        await this.#options.store.tend()
        this.#failing = false
      } catch (error) {
        // Said once, until it is well again.
        if (!this.#failing)
          this.#options.logger.error({ err: error }, 'the data folder cannot be read: what is known stays')
        this.#failing = true
      }
    })
    return this.#next
  }

  async #takeOver(): Promise<void> {
    const { store, entries, left } = this.#options
    const listing = await store.list()
    if (listing !== undefined) {
      const ids = new Set(listing.ids)
      for (const entry of entries.list()) if (entry.stored && !ids.has(entry.record.id)) left(entry)
      for (const id of ids) if (entries.get(id) === undefined) await this.#arrive(id)
      entries.follow(listing.names)
    }
    for (const entry of entries.list()) {
      const { record } = entry
      if (!entry.stored || (record.seal !== null && record.weights_sha256 !== null)) continue
      const there = await store.read(record.id)
      if (there !== undefined) entry.record = there
    }
  }

  async #arrive(id: string): Promise<void> {
    const { store, logger, arrived } = this.#options
    try {
      const record = await store.read(id)
      if (record !== undefined) arrived(record)
      this.#unreadable.delete(id)
    } catch (error) {
      if (!this.#unreadable.has(id))
        logger.error({ model: id, err: error }, 'a stored model cannot be read and is left out')
      this.#unreadable.add(id)
    }
  }
}
