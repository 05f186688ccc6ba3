import type { Logger } from 'pino'
import type { Analysis, LayerScale } from '../../analysis/contract.ts'
import type { WeightsSource } from '../../network/weights-source.ts'
import type { Engine } from '../../engine/contract.ts'
import { estimateFootprint } from '../../engine/footprint.ts'
import type { ServiceError } from '../../common/errors.ts'
import type { Plan } from '../../network/plan.ts'
import { isMeasured } from '../../network/schemes.ts'
import type { Tracing } from '../../telemetry/tracing.ts'
import { ModelIndex, nameTaken } from './model-index.ts'
import { StoreWatcher } from './store-watcher.ts'
import type { Entry, Model } from './model.ts'
import { ModelWeights } from './model-weights.ts'
import { assertName, isId } from './names.ts'
import type { Quarantine } from '../prediction/quarantine.ts'
import type { Facts, ReadModel, StoredModel } from './records.ts'
import { ModelCache } from './model-cache.ts'
import type { StagedWeights, Store } from './store.ts'

export interface RegistryOptions {
  readonly engine: Engine
  readonly analysis: Analysis
  readonly store: Store
  readonly quarantine: Quarantine
  readonly memoryBudgetBytes: number
  /** Resolves when all that were admitted for a model have their answers. */
  readonly drained: (id: string) => Promise<void>
  readonly logger: Logger
  readonly tracing: Tracing
}

interface CreateOptions {
  readonly id?: string
  readonly name?: string | undefined
  /** Whether the name comes along where it stands for another model; otherwise that is NAME_TAKEN. */
  readonly moves?: boolean
  readonly weights?: StagedWeights
  /** The digest of all tensors of these weights. */
  readonly digest?: string
  /** What was measured with the client's own images. */
  readonly measured?: readonly LayerScale[]
}

/**
 * The life of models: created, named, made ready when needed, deleted, here or by another service on the same folder.
 * Records and digests are on disk; what the engine holds is the residency's.
 */
export class Registry {
  readonly #options: RegistryOptions
  readonly #entries: ModelIndex<Entry>
  readonly #cache: ModelCache
  readonly #watcher: StoreWatcher
  readonly #weights: ModelWeights
  readonly #background = new Set<Promise<void>>()

  constructor(options: RegistryOptions) {
    this.#options = options
    this.#entries = new ModelIndex(options.store)
    this.#weights = new ModelWeights({
      ...options,
      failed: async (id, error) => {
        const entry = this.#serving(id)
        if (entry !== undefined) await this.#cache.fail(entry, error)
      },
    })
    this.#cache = new ModelCache({
      ...options,
      entries: this.#entries,
      withWeights: (entry, use) => this.withWeights(entry, use),
      prepare: (entry) => this.#measure(entry),
      keepSeal: (entry, seal) => this.#keep(entry, 'seal', seal),
      built: (entry) => {
        this.#digest(entry)
      },
    })
    this.#watcher = new StoreWatcher({
      ...options,
      entries: this.#entries,
      onAdded: (model) => {
        this.#onAdded(model)
      },
      onRemoved: (entry) => {
        this.#onRemoved(entry)
      },
    })
  }

  /**
   * Takes over what the store holds, from now on again and again; nothing is built yet. Rejects where it cannot be read.
   * Whoever loads it closes it.
   */
  load(): Promise<void> {
    return this.#watcher.start()
  }

  /** Resolves when what other services did before the call is known here. */
  refresh(): Promise<void> {
    return this.#watcher.poll()
  }

  /** All models in order of creation. */
  list(): Model[] {
    return this.#entries.list()
  }

  /** Whether `find` would find it, as far as is known here. */
  knows(reference: string): boolean {
    return this.#entries.knows(reference)
  }

  hasName(name: string): boolean {
    return this.#entries.named(name) !== undefined
  }

  namesOf(id: string): string[] {
    return this.#entries.namesOf(id)
  }

  /** By name, id or unique id prefix. */
  find(reference: string): Model {
    return this.#entries.find(reference)
  }

  /**
   * The model of a plan, created where it is not there yet. `ready` settles when it can predict, or with why not; names
   * and records are on disk when the call resolves. Staged weights are kept or discarded here.
   */
  async create(
    plan: Plan,
    options: CreateOptions = {},
  ): Promise<{ model: Model; created: boolean; ready: Promise<void> }> {
    const { id = plan.id, name, moves = false, weights } = options
    try {
      if (name !== undefined) assertName(name)
      await this.refresh()
      const owner = name === undefined ? undefined : this.#entries.named(name)?.record.id
      if (name !== undefined && owner !== undefined && owner !== id && !moves) throw nameTaken(name, owner)
      const known = this.#entries.get(id)
      const entry = known ?? this.#begin(newRecord(id, plan, options), plan)
      if (!known) entry.created = this.#write(entry, weights)
      await entry.created
      if (known && weights) await this.#weights.repair(known.record, weights)
      if (name !== undefined) await this.#entries[moves ? 'setName' : 'createName'](name, id)
      this.#options.quarantine.reset(id)
      const ready = this.#cache.ensureReady(entry)
      this.#follow(ready)
      return { model: entry, created: known === undefined, ready }
    } finally {
      // Weights that were kept are no longer where they were staged.
      await weights?.discard()
    }
  }

  async setName(name: string, reference: string): Promise<Model> {
    assertName(name)
    await this.refresh()
    const entry = this.#entries.find(reference)
    await this.#entries.setName(name, entry.record.id)
    return entry
  }

  /** A name goes alone; an id takes the model and its names with it. What was admitted before is still answered. */
  async delete(reference: string): Promise<void> {
    await this.refresh()
    if (await this.#entries.deleteName(reference)) return
    if (await this.#deleteUnusable(reference)) return
    const entry = this.#entries.find(reference)
    const { id } = entry.record
    await entry.created
    await this.#entries.runExclusive(async () => {
      if (!this.#entries.has(entry)) return
      this.#entries.retire(entry)
      try {
        await this.#options.store.remove(id)
        await this.#entries.deleteNamesOf(id)
      } catch (error) {
        // What could not be removed is still there.
        if (this.#entries.retired(id) === entry) this.#entries.add(entry)
        throw error
      }
      entry.stored = false
      this.#follow(this.#release(entry))
    })
  }

  /** Whether a model can predict now; asking counts as using it. */
  isReady(id: string): boolean {
    const entry = this.#serving(id)
    return entry !== undefined && this.#cache.isReady(entry)
  }

  /** Resolves when the model can predict; concurrent callers share one build. */
  async ensureReady(id: string): Promise<void> {
    await this.#cache.ensureReady(this.#serving(id) ?? this.#entries.find(id))
  }

  /** Frees what the engine holds of a model, also of one that is being built. It is built again when it is asked for. */
  async unload(id: string): Promise<void> {
    const entry = this.#entries.find(id)
    await entry.building?.catch(() => undefined)
    await this.#cache.unload(entry)
  }

  /** The engine died, or lacks one model: what it held must be built again when it is next asked for. */
  engineLost(id?: string): void {
    this.#cache.engineLost(id)
  }

  /** The engine keeps dying of a model: it is refused from now on. */
  quarantined(id: string, refusal: ServiceError): void {
    const entry = this.#serving(id)
    if (entry !== undefined) this.#cache.quarantined(entry, refusal)
  }

  /** What the engine holds: models that are ready, and the memory that they take. */
  get resident(): { readonly models: number; readonly bytes: number } {
    const held = this.#entries.held().filter(({ residentBytes }) => residentBytes > 0)
    return { models: held.length, bytes: held.reduce((sum, { residentBytes }) => sum + residentBytes, 0) }
  }

  /** Where a model's weights come from; an error where they cannot be used: nothing of it is served then. */
  weightsOf(model: Model): Promise<WeightsSource> {
    return this.#weights.of(model)
  }

  /** Reads a model's weights; what was read counts only where their file stayed the same meanwhile. */
  withWeights<R>(model: Model, use: (source: WeightsSource) => Promise<R>): Promise<R> {
    return this.#weights.with(model, use)
  }

  /** The digest of a model's true parameters, computed now where it has not followed yet. */
  async digestOf(model: Model): Promise<string> {
    const entry = this.#entries.find(model.record.id)
    await entry.digesting
    return entry.record.weights_sha256 ?? this.#digestOf(entry)
  }

  /** Waits for what goes on beside the answers: builds, digests on their way to the store, models that leave. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#background])
  }

  /** Looks no more at what other services do, and waits for what goes on. */
  async close(): Promise<void> {
    await this.#watcher.close()
    await this.settled()
  }

  /** What the engine may be asked for: also what leaves, by those who were admitted before. */
  #serving(id: string): Entry | undefined {
    return this.#entries.get(id) ?? this.#entries.retired(id)
  }

  /** A record that another service wrote, or that was there at the start. */
  #onAdded({ record, plan }: ReadModel): void {
    const entry = this.#begin(record, plan)
    entry.record = record
    entry.stored = true
  }

  /** Removes what lies under an id and is no model that could be served. Says whether there was any. */
  #deleteUnusable(reference: string): Promise<boolean> {
    if (!isId(reference)) return Promise.resolve(false)
    return this.#entries.runExclusive(async () => {
      if (this.#entries.get(reference) !== undefined || !(await this.#options.store.has(reference)))
        return false
      await this.#options.store.remove(reference)
      await this.#entries.deleteNamesOf(reference)
      return true
    })
  }

  #onRemoved(entry: Entry): void {
    entry.stored = false
    this.#entries.retire(entry)
    this.#follow(this.#release(entry))
  }

  /** Takes a model that left from the engine, when nobody is served by it any more, unless it has come back. */
  async #release(entry: Entry): Promise<void> {
    const { id } = entry.record
    await this.#options.drained(id)
    await entry.building?.catch(() => undefined)
    if (!this.#entries.purge(entry)) return
    this.#options.quarantine.reset(id)
    this.#weights.forget(id)
    await this.#cache.unload(entry)
  }

  /** A model that begins to be there; one that is still leaving comes back, with what is known of it. */
  #begin(record: StoredModel, plan: Plan): Entry {
    const entry = this.#entries.retired(record.id)
    if (entry === undefined) return this.#add(record, plan)
    const { seal, weights_sha256, measured } = entry.record
    entry.record = { ...record, seal, weights_sha256, ...(measured && { measured }) }
    this.#entries.add(entry)
    return entry
  }

  #add(record: StoredModel, plan: Plan): Entry {
    const entry: Entry = {
      record,
      state: 'unloaded',
      lastError: null,
      totals: plan.totals,
      advice: plan.advice,
      artifactBytes: null,
      buildMs: null,
      footprint: estimateFootprint(plan),
      residentBytes: 0,
      lastUsed: 0,
      building: undefined,
      digesting: undefined,
      created: Promise.resolve(),
      stored: false,
    }
    this.#entries.add(entry)
    return entry
  }

  /** Factors are measured once: whoever measures first says them for all. */
  async #measure(entry: Entry): Promise<void> {
    const { specification, weights, id } = entry.record
    if (weights === 'loaded' || !isMeasured(specification)) return
    if (entry.record.measured !== undefined) return
    const there = (await this.#options.store.facts(id)).measured
    const measured = there ?? (await this.#options.analysis.unitVariance(specification))
    await this.#keep(entry, 'measured', measured)
  }

  /** The digest of the true parameters follows the build, in the analysis process. */
  #digest(entry: Entry): void {
    if (entry.record.weights_sha256 !== null || !this.#entries.has(entry)) return
    const { logger } = this.#options
    entry.digesting = this.#digestOf(entry)
      .then(async (digest) => {
        await this.#keep(entry, 'weights_sha256', digest)
      })
      .catch((error: unknown) => {
        if (this.#entries.has(entry)) logger.error({ model: entry.record.id, err: error }, 'digest failed')
      })
    this.#follow(entry.digesting)
  }

  #digestOf(entry: Entry): Promise<string> {
    return this.withWeights(entry, (source) => this.#options.analysis.digest(source, { buffers: false }))
  }

  /** What nobody waits for, until somebody does: its failure is told by what it was for. */
  #follow(task: Promise<void>): void {
    const followed = task.catch(() => undefined).finally(() => this.#background.delete(followed))
    this.#background.add(followed)
  }

  /** Gives the fact that is kept, which may be another's; a model that is gone keeps its own until the last is served. */
  async #keep<F extends keyof Facts>(
    entry: Entry,
    fact: F,
    value: NonNullable<Facts[F]>,
  ): Promise<NonNullable<Facts[F]>> {
    await entry.created
    const { store } = this.#options
    const kept = entry.stored ? ((await store.keep(entry.record.id, fact, value)) ?? value) : value
    entry.record = { ...entry.record, [fact]: kept }
    return kept
  }

  /** Where it cannot be written, it is not there. */
  #write(entry: Entry, weights?: StagedWeights): Promise<void> {
    return this.#entries.runExclusive(async () => {
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

function newRecord(id: string, plan: Plan, { weights, digest, measured }: CreateOptions): StoredModel {
  return {
    id,
    specification: plan.specification,
    weights: weights ? 'loaded' : 'initialized',
    created_at: new Date().toISOString(),
    seal: null,
    weights_sha256: null,
    ...(digest !== undefined && { tensors_sha256: digest }),
    ...(measured && { measured }),
  }
}
