import type { Logger } from 'pino'
import type { Analysis } from '../../analysis/contract.ts'
import type { WeightsSource } from '../../network/weights-source.ts'
import type { Engine } from '../../engine/contract.ts'
import type { ServiceError } from '../../common/errors.ts'
import type { Plan } from '../../network/plan.ts'
import type { Tracing } from '../../telemetry/tracing.ts'
import { BackgroundTasks } from './background-tasks.ts'
import { ModelFacts } from './model-facts.ts'
import { ModelIndex, nameTaken } from './model-index.ts'
import { StoreWatcher } from './store-watcher.ts'
import { createEntry, type Entry, type Model } from './model.ts'
import { ModelWeights } from './model-weights.ts'
import { assertName, isId } from './names.ts'
import type { Quarantine } from '../prediction/quarantine.ts'
import { createRecord, type MeasuredWeights, type ReadModel, type StoredModel } from './records.ts'
import { ModelCache } from './model-cache.ts'
import type { StagedWeights, Store } from './store.ts'

export interface RegistryOptions {
  readonly engine: Engine
  readonly analysis: Analysis
  readonly store: Store
  readonly quarantine: Quarantine
  readonly memoryBudgetBytes: number
  /** Resolves when all admitted requests of a model have their answers. */
  readonly drained: (id: string) => Promise<void>
  readonly logger: Logger
  readonly tracing: Tracing
}

interface CreateOptions extends MeasuredWeights {
  readonly id?: string
  readonly name?: string | undefined
  /** True to move a name that belongs to another model. Otherwise that is NAME_TAKEN. */
  readonly moves?: boolean
  readonly weights?: StagedWeights
}

/**
 * The life cycle of models: created, named, made ready on demand and deleted, by this service or by another one on the
 * same directory. Records and digests are on disk; the model cache manages the models in the engine.
 */
export class Registry {
  readonly #options: RegistryOptions
  readonly #index: ModelIndex<Entry>
  readonly #cache: ModelCache
  readonly #watcher: StoreWatcher
  readonly #weights: ModelWeights
  readonly #facts: ModelFacts
  readonly #tasks = new BackgroundTasks()

  constructor(options: RegistryOptions) {
    this.#options = options
    this.#index = new ModelIndex(options.store)
    this.#weights = new ModelWeights({
      ...options,
      failed: async (id, error) => {
        const entry = this.#index.getWithRetired(id)
        if (entry !== undefined) await this.#cache.fail(entry, error)
      },
    })
    this.#facts = new ModelFacts({
      ...options,
      tasks: this.#tasks,
      isPresent: (entry) => this.#index.has(entry),
      withWeights: (entry, use) => this.withWeights(entry, use),
    })
    this.#cache = new ModelCache({
      ...options,
      index: this.#index,
      withWeights: (entry, use) => this.withWeights(entry, use),
      prepare: (entry) => this.#facts.measure(entry),
      keepSeal: (entry, seal) => this.#facts.keep(entry, 'seal', seal),
      built: (entry) => {
        this.#facts.startDigest(entry)
      },
    })
    this.#watcher = new StoreWatcher({
      ...options,
      index: this.#index,
      onAdded: (model) => {
        this.#onAdded(model)
      },
      onRemoved: (entry) => {
        this.#onRemoved(entry)
      },
    })
  }

  /**
   * Reads the store, and polls it until `close`. Builds no model. Rejects if the store cannot be read. The caller
   * closes the registry.
   */
  load(): Promise<void> {
    return this.#watcher.start()
  }

  /** Resolves when all changes that other services made before the call are known. */
  refresh(): Promise<void> {
    return this.#watcher.poll()
  }

  /** All models in order of creation. */
  list(): Model[] {
    return this.#index.list()
  }

  /** True if `find` returns a model. Does not poll the store. */
  knows(reference: string): boolean {
    return this.#index.knows(reference)
  }

  hasName(name: string): boolean {
    return this.#index.findByName(name) !== undefined
  }

  listNames(id: string): string[] {
    return this.#index.listNames(id)
  }

  /** Finds a model by name, id or unique id prefix. */
  find(reference: string): Model {
    return this.#index.find(reference)
  }

  /**
   * Returns the model of a plan and creates it if it is missing. `ready` settles when the model can predict or has
   * failed. Name and record are on disk when the call resolves. Keeps or discards the staged weights.
   */
  async create(
    plan: Plan,
    options: CreateOptions = {},
  ): Promise<{ model: Model; created: boolean; ready: Promise<void> }> {
    const { id = plan.id, name, moves = false, weights } = options
    try {
      if (name !== undefined) assertName(name)
      await this.refresh()
      const owner = name === undefined ? undefined : this.#index.findByName(name)?.record.id
      if (name !== undefined && owner !== undefined && owner !== id && !moves) throw nameTaken(name, owner)
      const known = this.#index.get(id)
      const entry =
        known ?? this.#add(createRecord(id, plan, { ...options, hasWeights: weights !== undefined }), plan)
      if (!known) entry.created = this.#write(entry, weights)
      await entry.created
      if (known && weights) await this.#weights.repair(known.record, weights)
      if (name !== undefined) await this.#index[moves ? 'setName' : 'createName'](name, id)
      this.#options.quarantine.reset(id)
      const ready = this.#cache.ensureReady(entry)
      this.#tasks.add(ready)
      return { model: entry, created: known === undefined, ready }
    } finally {
      // Does nothing for weights that were kept: they have been moved.
      await weights?.discard()
    }
  }

  async setName(name: string, reference: string): Promise<Model> {
    assertName(name)
    await this.refresh()
    const entry = this.#index.find(reference)
    await this.#index.setName(name, entry.record.id)
    return entry
  }

  /** Deletes a name, or a model with all its names. Requests that were admitted before are still answered. */
  async delete(reference: string): Promise<void> {
    await this.refresh()
    if (await this.#index.deleteName(reference)) return
    if (isId(reference) && (await this.#index.deleteUnusable(reference))) return
    const entry = this.#index.find(reference)
    const { id } = entry.record
    await entry.created
    await this.#index.runExclusive(async () => {
      if (!this.#index.has(entry)) return
      this.#index.retire(entry)
      try {
        await this.#options.store.remove(id)
        await this.#index.deleteNames(id)
      } catch (error) {
        // The removal failed: the model still exists.
        if (this.#index.getRetired(id) === entry) this.#index.add(entry)
        throw error
      }
      entry.stored = false
      this.#tasks.add(this.#release(entry))
    })
  }

  /** Counts a use of a model. Returns true if it can predict now. */
  touchAndCheckReady(id: string): boolean {
    const entry = this.#index.getWithRetired(id)
    return entry !== undefined && this.#cache.touchAndCheckReady(entry)
  }

  /** Resolves when the model can predict. Concurrent callers share one build. */
  async ensureReady(id: string): Promise<void> {
    await this.#cache.ensureReady(this.#index.getWithRetired(id) ?? this.#index.find(id))
  }

  /** Unloads a model from the engine, after its build if it is being built. Its next use builds it again. */
  async unload(id: string): Promise<void> {
    const entry = this.#index.find(id)
    await entry.building?.catch(() => undefined)
    await this.#cache.unload(entry)
  }

  /** Reports that the engine lost one model, or all of them in a crash: their next use builds them again. */
  engineLost(id?: string): void {
    this.#cache.engineLost(id)
  }

  /** Marks a model as quarantined. */
  quarantined(id: string, blockedError: ServiceError): void {
    const entry = this.#index.getWithRetired(id)
    if (entry !== undefined) this.#cache.quarantined(entry, blockedError)
  }

  /** The number of resident models and their memory. */
  get resident(): { readonly models: number; readonly bytes: number } {
    return this.#cache.resident
  }

  /** Opens the source of a model's weights. Rejects if they cannot be used. */
  openWeights(model: Model): Promise<WeightsSource> {
    return this.#weights.openSource(model)
  }

  /** Reads a model's weights with `use`. Rejects if their file changed during the read. */
  withWeights<R>(model: Model, use: (source: WeightsSource) => Promise<R>): Promise<R> {
    return this.#weights.withSource(model, use)
  }

  /** Reads the digest of a model's trainable parameters; computes it if it is missing. */
  readDigest(model: Model): Promise<string> {
    return this.#facts.readDigest(this.#index.find(model.record.id))
  }

  /** Waits for background work: builds, digests and the release of deleted models. */
  async settled(): Promise<void> {
    await this.#tasks.settled()
  }

  /** Stops polling the store and waits for background work. */
  async close(): Promise<void> {
    await this.#watcher.close()
    await this.settled()
  }

  /** Adds a model from the store. */
  #onAdded({ record, plan }: ReadModel): void {
    const entry = this.#add(record, plan)
    entry.record = record
    entry.stored = true
  }

  #onRemoved(entry: Entry): void {
    entry.stored = false
    this.#index.retire(entry)
    this.#tasks.add(this.#release(entry))
  }

  /** Unloads a retired model after its last admitted request, unless it has been created again. */
  async #release(entry: Entry): Promise<void> {
    const { id } = entry.record
    await this.#options.drained(id)
    await entry.building?.catch(() => undefined)
    if (!this.#index.purge(entry)) return
    this.#options.quarantine.reset(id)
    this.#weights.purge(id)
    await this.#cache.unload(entry)
  }

  /** Adds a model to the index. A retired model returns with its known facts. */
  #add(record: StoredModel, plan: Plan): Entry {
    const retired = this.#index.getRetired(record.id)
    const entry = retired ?? createEntry(record, plan)
    if (retired !== undefined) {
      const { seal, weights_sha256, measured } = retired.record
      entry.record = { ...record, seal, weights_sha256, ...(measured && { measured }) }
    }
    this.#index.add(entry)
    return entry
  }

  /** Writes a new record. A model whose record cannot be written is removed. */
  #write(entry: Entry, weights?: StagedWeights): Promise<void> {
    return this.#index.runExclusive(async () => {
      try {
        entry.record = { ...entry.record, ...(await this.#options.store.create(entry.record, weights)) }
        entry.stored = true
      } catch (error) {
        this.#onRemoved(entry)
        throw error
      }
    })
  }
}
