import type { Logger } from 'pino'
import type { ModelIndex } from './model-index.ts'
import type { Entry } from './model.ts'
import { isId, isName } from './names.ts'
import { withFacts, type ReadModel } from './records.ts'
import type { Store } from './store.ts'

export interface StoreWatcherOptions {
  readonly store: Store
  readonly index: ModelIndex<Entry>
  readonly logger: Logger
  /** Called for a model that this service does not know yet. */
  readonly onAdded: (model: ReadModel) => void
  /** Called for a model that another service has deleted. */
  readonly onRemoved: (entry: Entry) => void
}

/** The interval of polling. */
const POLL_MS = 500
/** The interval of full reads without a detected change, and the maximum share of time for full reads otherwise. */
const REREAD_MS = 60_000
const READING_SHARE = 0.05
/** The number of entries read in one exclusive section, which bounds the wait of a change. */
const PART_ENTRIES = 64

/**
 * Polls the data folder for the changes of other services, since shared file systems send no events. Services announce
 * their changes by marker files, so a poll reads one folder and the changed entries. The whole folder is read at the
 * start, after missed markers, and in the background if its modification times show an unannounced change. If the folder
 * cannot be read, the known models stay.
 */
export class StoreWatcher {
  readonly #options: StoreWatcherOptions
  /** The poll that has not started yet; all callers share it. */
  #next: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #polling: Promise<void> | undefined
  #failing = false
  /** The last full read: the folders' stamp before it, its end and its duration. */
  #lastRead = { stamp: '', at: -Infinity, ms: 0 }

  constructor(options: StoreWatcherOptions) {
    this.#options = options
  }

  /** Reads the whole folder and polls it until `close`. Rejects if it cannot be read. */
  async start(): Promise<void> {
    await this.#options.store.changed()
    await this.#readAll()
    this.#timer = setInterval(() => {
      this.#polling ??= this.#pollInBackground().finally(() => {
        this.#polling = undefined
      })
    }, POLL_MS)
    this.#timer.unref()
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#polling
    await this.#next
  }

  /** Resolves when all changes that were announced before the call are known. */
  poll(): Promise<void> {
    this.#next ??= this.#pollOnce()
    return this.#next
  }

  async #pollOnce(): Promise<void> {
    try {
      const missed = await this.#options.index.runExclusive(async () => {
        this.#next = undefined
        const changed = await this.#options.store.changed()
        for (const entry of changed ?? []) await this.#refresh(entry)
        return changed === undefined
      })
      if (missed) await this.#readAll()
    } catch (error) {
      this.#reportFailure(error)
    }
  }

  async #pollInBackground(): Promise<void> {
    await this.poll()
    try {
      await this.#options.store.heartbeat()
      await this.#refreshFacts()
      if (await this.#isDue()) await this.#readAll()
      this.#failing = false
    } catch (error) {
      this.#reportFailure(error)
    }
  }

  /** Logs the first of consecutive failures. */
  #reportFailure(error: unknown): void {
    if (!this.#failing)
      this.#options.logger.error({ err: error }, 'the data folder cannot be read; the known models stay')
    this.#failing = true
    // A marker may have been read without its entry: read the whole folder next.
    this.#lastRead = { ...this.#lastRead, stamp: '' }
  }

  async #isDue(): Promise<boolean> {
    const { stamp, at, ms } = this.#lastRead
    const since = performance.now() - at
    if (since < ms / READING_SHARE) return false
    return since > REREAD_MS || stamp !== (await this.#options.store.stamp())
  }

  /** Reads every name and every new id, in parts. */
  async #readAll(): Promise<void> {
    const { store, index, onRemoved } = this.#options
    const started = performance.now()
    const stamp = await store.stamp()
    const newIds = await index.runExclusive(async () => {
      const ids = await store.ids()
      const there = new Set(ids)
      for (const entry of [...index.models()])
        if (entry.stored && !there.has(entry.record.id)) onRemoved(entry)
      return ids.filter((id) => index.get(id) === undefined)
    })
    await this.#inParts(newIds, (id) => this.#refreshModel(id))
    const names = new Set([...(await store.names.list()), ...index.names()])
    await this.#inParts([...names], (name) => index.refreshName(name))
    const now = performance.now()
    this.#lastRead = { stamp, at: now, ms: now - started }
  }

  async #inParts(all: readonly string[], read: (entry: string) => Promise<void>): Promise<void> {
    for (let from = 0; from < all.length; from += PART_ENTRIES)
      await this.#options.index.runExclusive(() =>
        Promise.all(all.slice(from, from + PART_ENTRIES).map(read)),
      )
  }

  /** Reads a name or a model from the store. */
  async #refresh(changed: string): Promise<void> {
    if (isId(changed)) await this.#refreshModel(changed)
    else if (isName(changed)) await this.#options.index.refreshName(changed)
  }

  async #refreshModel(id: string): Promise<void> {
    const { store, index, onAdded, onRemoved } = this.#options
    const entry = index.get(id)
    if (entry === undefined) {
      const found = await store.find(id)
      if (found !== undefined) onAdded(found)
    } else if (entry.stored) {
      if (await store.has(id)) await this.#refreshFactsOf(entry)
      else onRemoved(entry)
    }
  }

  /** Reads facts that other services may have stored. */
  async #refreshFacts(): Promise<void> {
    for (const entry of [...this.#options.index.models()])
      if (entry.stored && !isComplete(entry)) await this.#refreshFactsOf(entry)
  }

  async #refreshFactsOf(entry: Entry): Promise<void> {
    if (isComplete(entry)) return
    const facts = await this.#options.store.facts(entry.record.id)
    entry.record = withFacts(entry.record, facts)
  }
}

function isComplete({ record }: Entry): boolean {
  return record.seal !== null && record.weights_sha256 !== null
}
