import type { Logger } from 'pino'
import { factorsOf, type Analysis, type LayerScale, type WeightsSource } from '../analysis/analysis.ts'
import type { Engine } from '../engine/engine.ts'
import { ServiceError } from '../errors.ts'
import { planSpecification, type Plan } from '../network/plan.ts'
import { isMeasured } from '../network/schemes.ts'
import type { Tracing } from '../tracing/tracing.ts'
import { Directory } from './directory.ts'
import type { Entry, Model } from './model.ts'
import { assertName } from './names.ts'
import type { Quarantine } from './quarantine.ts'
import { Residency } from './residency.ts'
import type { StagedWeights, Store, StoredModel } from './store.ts'

export interface RegistryOptions {
  readonly engine: Engine
  readonly analysis: Analysis
  readonly store: Store
  readonly quarantine: Quarantine
  readonly memoryBudgetBytes: number
  readonly logger: Logger
  readonly tracing: Tracing
}

interface CreateOptions {
  readonly id?: string
  readonly name?: string | undefined
  readonly weights?: StagedWeights
  /** What was measured with the client's own images. */
  readonly measured?: readonly LayerScale[]
}

/**
 * The life of models: created, named, made ready when needed, deleted. Records and digests are on disk; what the engine
 * holds is the residency's.
 */
export class Registry {
  readonly #options: RegistryOptions
  readonly #entries: Directory<Entry>
  readonly #residency: Residency
  /** Models on their way out, by id: nobody finds them, and the same id begins anew when they are gone. */
  readonly #removals = new Map<string, Promise<void>>()
  readonly #background = new Set<Promise<void>>()

  constructor(options: RegistryOptions) {
    this.#options = options
    this.#entries = new Directory(options.store)
    this.#residency = new Residency({
      ...options,
      entries: this.#entries,
      weightsOf: (entry) => this.weightsOf(entry),
      prepare: (entry) => this.#measure(entry),
      keepSeal: (entry, seal) => this.#keep(entry, { seal }),
      built: (entry) => {
        this.#digest(entry)
      },
    })
  }

  /** Takes over what the store holds; nothing is built yet. */
  async load(): Promise<void> {
    const { store, logger } = this.#options
    const { models, names } = await store.load(logger)
    for (const record of models) {
      try {
        this.#add(record, planSpecification(record.specification))
      } catch (error) {
        logger.error({ model: record.id, err: error }, 'a stored model cannot be planned and is left out')
      }
    }
    for (const [name, id] of names) this.#entries.addName(name, id)
  }

  /** All models in order of creation. */
  list(): Model[] {
    return this.#entries.list()
  }

  hasName(name: string): boolean {
    return this.#entries.hasName(name)
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
    { id = plan.id, name, weights, measured }: CreateOptions = {},
  ): Promise<{ model: Model; created: boolean; ready: Promise<void> }> {
    try {
      if (name !== undefined) assertName(name)
      while (this.#removals.has(id)) await this.#removals.get(id)?.catch(() => undefined)
      const known = this.#entries.get(id)
      const entry =
        known ?? this.#add({ ...recordOf(id, plan, weights), ...(measured && { measured }) }, plan)
      if (!known) entry.created = this.#write(entry, {}, weights)
      await entry.created.catch((error: unknown) => {
        this.#entries.remove(entry)
        throw error
      })
      if (name !== undefined) await this.setName(name, id)
      this.#options.quarantine.pardon(id)
      const ready = this.#residency.ensureReady(entry)
      this.#follow(ready)
      return { model: entry, created: known === undefined, ready }
    } finally {
      // Weights that were kept are no longer where they were staged.
      await weights?.discard()
    }
  }

  async setName(name: string, reference: string): Promise<Model> {
    assertName(name)
    const entry = this.#entries.find(reference)
    await this.#entries.setName(name, entry.record.id)
    return entry
  }

  /** A name goes alone; an id takes the model and its names with it. */
  async delete(reference: string): Promise<void> {
    if (await this.#entries.deleteName(reference)) return
    const entry = this.#entries.find(reference)
    const { id } = entry.record
    this.#entries.remove(entry)
    const removal = this.#remove(entry).finally(() => this.#removals.delete(id))
    this.#removals.set(id, removal)
    await removal
  }

  /** Whether a model can predict now; asking counts as using it. */
  isReady(id: string): boolean {
    const entry = this.#entries.get(id)
    return entry !== undefined && this.#residency.isReady(entry)
  }

  /** Resolves when the model can predict; concurrent callers share one build. */
  async ensureReady(id: string): Promise<void> {
    await this.#residency.ensureReady(this.#entries.find(id))
  }

  /** Frees what the engine holds of a model, also of one that is being built. It is built again when it is asked for. */
  async unload(id: string): Promise<void> {
    const entry = this.#entries.find(id)
    await entry.building?.catch(() => undefined)
    await this.#residency.unload(entry)
  }

  /** The engine died, or lacks one model: what it held must be built again when it is next asked for. */
  engineLost(id?: string): void {
    this.#residency.engineLost(id)
  }

  /** The engine keeps dying of a model: it is refused from now on. */
  quarantined(id: string, refusal: ServiceError): void {
    const entry = this.#entries.get(id)
    if (entry !== undefined) this.#residency.quarantined(entry, refusal)
  }

  /** What the engine holds: models that are ready, and the bytes of their variables. */
  get resident(): { readonly models: number; readonly bytes: number } {
    const held = this.#entries.list().filter(({ residentBytes }) => residentBytes > 0)
    return { models: held.length, bytes: held.reduce((sum, { residentBytes }) => sum + residentBytes, 0) }
  }

  /** Where a model's weights come from; WEIGHTS_DIVERGED where they are not what they were: nothing of it is served. */
  weightsOf({ record, lastError }: Model): WeightsSource {
    if (lastError?.code === 'WEIGHTS_DIVERGED') throw new ServiceError('WEIGHTS_DIVERGED', lastError.detail)
    const { specification, weights, id, measured } = record
    if (weights === 'loaded') return { specification, weightsFile: this.#options.store.weightsFile(id) }
    if (measured === undefined) {
      if (isMeasured(specification))
        throw new ServiceError(
          'MODEL_NOT_READY',
          `${id} has no weights before they are measured (lsuv); ask when it is ready`,
        )
      return { specification }
    }
    return { specification, factors: factorsOf(measured) }
  }

  /** The digest of a model's true parameters, computed now where it has not followed yet. */
  async digestOf(model: Model): Promise<string> {
    const entry = this.#entries.find(model.record.id)
    await entry.digesting
    return (
      entry.record.weights_sha256 ?? this.#options.analysis.digest(this.weightsOf(model), { buffers: false })
    )
  }

  /** Waits for what goes on beside the answers: builds, and digests on their way to the store. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#background])
  }

  async #remove(entry: Entry): Promise<void> {
    const { id } = entry.record
    try {
      await entry.building?.catch(() => undefined)
      await this.#residency.unload(entry)
      this.#options.quarantine.pardon(id)
      await this.#entries.deleteNamesOf(id)
      await entry.written
      await this.#options.store.remove(id)
    } catch (error) {
      // What could not be removed is still there.
      this.#entries.add(entry)
      throw error
    }
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
      residentBytes: 0,
      lastUsed: 0,
      building: undefined,
      digesting: undefined,
      created: Promise.resolve(),
      written: Promise.resolve(),
    }
    this.#entries.add(entry)
    return entry
  }

  /** Factors are measured once, and again where they were lost before they were kept: the seal tells if they differ. */
  async #measure(entry: Entry): Promise<void> {
    const { specification, weights, measured } = entry.record
    if (weights === 'loaded' || measured !== undefined || !isMeasured(specification)) return
    await this.#keep(entry, { measured: await this.#options.analysis.unitVariance(specification) })
  }

  /** The digest of the true parameters follows the build, in the analysis process. */
  #digest(entry: Entry): void {
    if (entry.record.weights_sha256 !== null || !this.#entries.has(entry)) return
    const { analysis, logger } = this.#options
    entry.digesting = analysis
      .digest(this.weightsOf(entry), { buffers: false })
      .then((weights_sha256) => this.#keep(entry, { weights_sha256 }))
      .catch((error: unknown) => {
        if (this.#entries.has(entry)) logger.error({ model: entry.record.id, err: error }, 'digest failed')
      })
    this.#follow(entry.digesting)
  }

  /** What nobody waits for, until somebody does: its failure is told by what it was for. */
  #follow(task: Promise<void>): void {
    const followed = task.catch(() => undefined).finally(() => this.#background.delete(followed))
    this.#background.add(followed)
  }

  async #keep(
    entry: Entry,
    change: Partial<Pick<StoredModel, 'seal' | 'weights_sha256' | 'measured'>>,
  ): Promise<void> {
    // A model deleted meanwhile must not come back.
    if (this.#entries.has(entry)) await this.#write(entry, change)
  }

  /** One write after the other, and memory follows the disk. Who asked for a write hears of its failure, nobody else. */
  #write(entry: Entry, change: Partial<StoredModel>, weights?: StagedWeights): Promise<void> {
    const write = entry.written.then(async () => {
      const record = { ...entry.record, ...change }
      await this.#options.store.save(record, weights)
      entry.record = record
    })
    entry.written = write.catch(() => undefined)
    return write
  }
}

function recordOf(id: string, { specification }: Plan, weights: StagedWeights | undefined): StoredModel {
  return {
    id,
    specification,
    weights: weights ? 'loaded' : 'initialized',
    created_at: new Date().toISOString(),
    seal: null,
    weights_sha256: null,
  }
}
