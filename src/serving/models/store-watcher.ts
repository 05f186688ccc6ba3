import type { Logger } from 'pino'
import type { ModelIndex } from './model-index.ts'
import type { Entry } from './model.ts'
import { isId, isName } from './names.ts'
import { withFacts, type ReadModel } from './records.ts'
import type { Store } from './store.ts'

export interface StoreWatcherOptions {
  readonly store: Store
  readonly entries: ModelIndex<Entry>
  readonly logger: Logger
  /** A model that is new here. */
  readonly onAdded: (model: ReadModel) => void
  /** A model that another service has deleted. */
  readonly onRemoved: (entry: Entry) => void
}

/** How often the folder is looked at unasked. */
const EVERY_MS = 500
/** How often all of it is read where nothing seems to have changed, and which share of the time that may take otherwise. */
const REREAD_MS = 60_000
const READING_SHARE = 0.05
/** Read in one turn: a change waits for no more. */
const AT_ONCE = 64

/**
 * What other services do to the data folder, taken over by looking: file systems that hosts share send no word of it.
 * They announce their changes, so looking costs one folder and what has changed since. All of it is read at the start,
 * where announcements were missed, and beside the answers where the folders' times say that something else has changed
 * it. Where the folder cannot be read, what is known stays.
 */
export class StoreWatcher {
  readonly #options: StoreWatcherOptions
  /** Whoever asks shares the look that has not begun yet. */
  #next: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #polling: Promise<void> | undefined
  #failing = false
  /** Of the last time that all was read: how the folders were before, when it ended and how long it took. */
  #read = { stamp: '', at: -Infinity, ms: 0 }

  constructor(options: StoreWatcherOptions) {
    this.#options = options
  }

  /** Takes over all there is, and from now on follows it, until it is closed. Rejects where it cannot be read. */
  async start(): Promise<void> {
    await this.#options.store.changed()
    await this.#readAll()
    this.#timer = setInterval(() => {
      this.#polling ??= this.#poll().finally(() => {
        this.#polling = undefined
      })
    }, EVERY_MS)
    this.#timer.unref()
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#polling
    await this.#next
  }

  /** Resolves when what other services announced before the call is known here. */
  poll(): Promise<void> {
    this.#next ??= this.#lookOnce()
    return this.#next
  }

  async #lookOnce(): Promise<void> {
    try {
      const all = await this.#options.entries.runExclusive(async () => {
        this.#next = undefined
        const changed = await this.#options.store.changed()
        for (const one of changed ?? []) await this.#follow(one)
        return changed === undefined
      })
      if (all) await this.#readAll()
    } catch (error) {
      this.#failed(error)
    }
  }

  async #poll(): Promise<void> {
    await this.poll()
    try {
      await this.#options.store.heartbeat()
      await this.#followFacts()
      if (await this.#isDue()) await this.#readAll()
      this.#failing = false
    } catch (error) {
      this.#failed(error)
    }
  }

  /** Logged once, until all is well again. */
  #failed(error: unknown): void {
    if (!this.#failing)
      this.#options.logger.error({ err: error }, 'the data folder cannot be read: what is known stays')
    this.#failing = true
    // An announcement may have been read and not followed.
    this.#read = { ...this.#read, stamp: '' }
  }

  async #isDue(): Promise<boolean> {
    const { stamp, at, ms } = this.#read
    const since = performance.now() - at
    if (since < ms / READING_SHARE) return false
    return since > REREAD_MS || stamp !== (await this.#options.store.stamp())
  }

  /** Reads every name and every id that is new, a part in each turn. */
  async #readAll(): Promise<void> {
    const { store, entries, onRemoved: onRemoved } = this.#options
    const started = performance.now()
    const stamp = await store.stamp()
    const onAdded = await entries.runExclusive(async () => {
      const ids = await store.ids()
      const there = new Set(ids)
      for (const entry of [...entries.models()])
        if (entry.stored && !there.has(entry.record.id)) onRemoved(entry)
      return ids.filter((id) => entries.get(id) === undefined)
    })
    await this.#inParts(onAdded, (id) => this.#followModel(id))
    const names = new Set([...(await store.names.list()), ...entries.names()])
    await this.#inParts([...names], (name) => entries.followName(name))
    const now = performance.now()
    this.#read = { stamp, at: now, ms: now - started }
  }

  async #inParts(all: readonly string[], follow: (one: string) => Promise<void>): Promise<void> {
    for (let from = 0; from < all.length; from += AT_ONCE)
      await this.#options.entries.runExclusive(() => Promise.all(all.slice(from, from + AT_ONCE).map(follow)))
  }

  /** Takes over a name or a model as it is stored now. */
  async #follow(changed: string): Promise<void> {
    if (isId(changed)) await this.#followModel(changed)
    else if (isName(changed)) await this.#options.entries.followName(changed)
  }

  async #followModel(id: string): Promise<void> {
    const { store, entries, onAdded: onAdded, onRemoved: onRemoved } = this.#options
    const entry = entries.get(id)
    if (entry === undefined) {
      const found = await store.find(id)
      if (found !== undefined) onAdded(found)
    } else if (entry.stored) {
      if (await store.has(id)) await this.#followFactsOf(entry)
      else onRemoved(entry)
    }
  }

  /** Other services may have found what is not known here yet. */
  async #followFacts(): Promise<void> {
    for (const entry of [...this.#options.entries.models()])
      if (entry.stored && !isComplete(entry)) await this.#followFactsOf(entry)
  }

  async #followFactsOf(entry: Entry): Promise<void> {
    if (isComplete(entry)) return
    const facts = await this.#options.store.facts(entry.record.id)
    entry.record = withFacts(entry.record, facts)
  }
}

function isComplete({ record }: Entry): boolean {
  return record.seal !== null && record.weights_sha256 !== null
}
