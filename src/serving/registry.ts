import type { Logger } from 'pino'
import type { Analysis, WeightsSource } from '../analysis/analysis.ts'
import type { Engine } from '../engine/engine.ts'
import { ServiceError } from '../errors.ts'
import { planSpecification, type Plan } from '../network/plan.ts'
import type { Model, ModelState } from './model.ts'
import { assertName, isId, isIdPrefix } from './names.ts'
import type { StagedWeights, Store, StoredModel } from './store.ts'

export interface RegistryOptions {
  readonly engine: Engine
  readonly analysis: Analysis
  readonly store: Store
  readonly memoryBudgetBytes: number
  readonly logger: Logger
}

interface Entry extends Model {
  record: StoredModel
  state: ModelState
  lastError: Model['lastError']
  artifactBytes: number | null
  buildMs: number | null
  residentBytes: number
  lastUsed: number
  building: Promise<void> | undefined
  /** The last write of this model to the store; the next one waits for it, so that none can overtake. */
  written: Promise<void>
}

/**
 * The life of models: created, named, built when needed, evicted when memory is short, rebuilt after an engine died,
 * deleted. Every build's seal is compared with the first; a model whose weights diverged is never served.
 */
export class Registry {
  readonly #options: RegistryOptions
  readonly #entries = new Map<string, Entry>()
  readonly #names = new Map<string, string>()
  readonly #background = new Set<Promise<void>>()
  #uses = 0

  constructor(options: RegistryOptions) {
    this.#options = options
  }

  /** Takes over what the store holds; nothing is built yet. */
  async load(): Promise<void> {
    const { models, names } = await this.#options.store.load(this.#options.logger)
    for (const record of models) {
      try {
        this.#add(record, planSpecification(record.specification))
      } catch (error) {
        this.#options.logger.error(
          { model: record.id, err: error },
          'a stored model cannot be planned and is left out',
        )
      }
    }
    for (const [name, id] of names) if (this.#entries.has(id)) this.#names.set(name, id)
  }

  /** All models in order of creation. */
  list(): Model[] {
    return [...this.#entries.values()].sort(
      (a, b) =>
        a.record.created_at.localeCompare(b.record.created_at) || a.record.id.localeCompare(b.record.id),
    )
  }

  namesOf(id: string): string[] {
    return [...this.#names].filter(([, target]) => target === id).map(([name]) => name)
  }

  /** By name, id or unique id prefix. */
  find(reference: string): Model {
    return this.#find(reference)
  }

  /**
   * The model of a plan, created where it is not there yet. `ready` settles when it can predict, or with why not; names
   * and records are on disk when the call resolves. Staged weights are kept or discarded here.
   */
  async create(
    plan: Plan,
    {
      id = plan.id,
      name,
      weights,
    }: { readonly id?: string; readonly name?: string | undefined; readonly weights?: StagedWeights } = {},
  ): Promise<{ model: Model; created: boolean; ready: Promise<void> }> {
    if (name !== undefined) assertName(name)
    const known = this.#entries.get(id)
    let entry = known
    if (entry === undefined) {
      const record: StoredModel = {
        id,
        specification: plan.specification,
        weights: weights ? 'loaded' : 'initialized',
        created_at: new Date().toISOString(),
        seal: null,
        weights_sha256: null,
      }
      entry = this.#add(record, plan)
      await this.#write(entry, weights).catch((error: unknown) => {
        this.#entries.delete(id)
        throw error
      })
    } else {
      await weights?.discard()
      await entry.written
    }
    if (name !== undefined) await this.setName(name, id)
    const ready = this.ensureReady(entry)
    ready.catch(() => undefined)
    return { model: entry, created: known === undefined, ready }
  }

  async setName(name: string, reference: string): Promise<Model> {
    assertName(name)
    const entry = this.#find(reference)
    await this.#options.store.saveName(name, entry.record.id)
    this.#names.set(name, entry.record.id)
    return entry
  }

  /** A name goes alone; an id takes the model and its names with it. */
  async delete(reference: string): Promise<void> {
    const { store, engine } = this.#options
    if (this.#names.has(reference)) {
      await store.removeName(reference)
      this.#names.delete(reference)
      return
    }
    const entry = this.#find(reference)
    const { id } = entry.record
    for (const name of this.namesOf(id)) {
      await store.removeName(name)
      this.#names.delete(name)
    }
    await entry.building?.catch(() => undefined)
    await entry.written.catch(() => undefined)
    await store.remove(id)
    this.#entries.delete(id)
    if (entry.residentBytes > 0) await engine.unload(id)
  }

  /** Resolves when the model can predict; concurrent callers share one build. */
  async ensureReady(model: Model): Promise<void> {
    const entry = this.#entries.get(model.record.id)
    if (entry === undefined) throw notFound(model.record.id)
    entry.lastUsed = ++this.#uses
    if (entry.state === 'ready') return
    if (entry.lastError?.code === 'WEIGHTS_DIVERGED')
      throw new ServiceError('WEIGHTS_DIVERGED', entry.lastError.detail)
    entry.building ??= this.#build(entry).finally(() => {
      entry.building = undefined
    })
    await entry.building
  }

  /** The engine died: what it held must be built again when it is next asked for. */
  engineLost(): void {
    for (const entry of this.#entries.values()) {
      if (entry.state === 'ready') entry.state = 'unloaded'
      entry.residentBytes = 0
    }
  }

  weightsOf({ record }: Model): WeightsSource {
    const { specification, weights, id } = record
    return weights === 'initialized'
      ? { specification }
      : { specification, weightsFile: this.#options.store.weightsFile(id) }
  }

  /** The digest of a model's true parameters, computed now where it has not followed yet. */
  async digestOf(model: Model): Promise<string> {
    await this.settled()
    const { weights_sha256: known } = this.find(model.record.id).record
    return known ?? this.#options.analysis.digest(this.weightsOf(model), { buffers: false })
  }

  /** Waits for what goes on beside the answers: digests on their way to the store. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#background])
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
      lastUsed: ++this.#uses,
      building: undefined,
      written: Promise.resolve(),
    }
    this.#entries.set(record.id, entry)
    return entry
  }

  #find(reference: string): Entry {
    const named = this.#names.get(reference)
    const exact = this.#entries.get(named ?? reference)
    if (exact) return exact
    if (isIdPrefix(reference)) {
      const matches = [...this.#entries.values()].filter(({ record }) => record.id.startsWith(reference))
      if (matches[0] && matches.length === 1) return matches[0]
      if (matches.length > 1)
        throw new ServiceError(
          'MODEL_NOT_FOUND',
          `the id prefix ${reference} fits ${String(matches.length)} models; give more of it`,
        )
    }
    throw notFound(reference)
  }

  async #build(entry: Entry): Promise<void> {
    const { engine, logger } = this.#options
    const { id } = entry.record
    const started = Date.now()
    entry.state = 'building'
    try {
      await this.#makeRoom(entry)
      const { seal, artifactBytes, variableBytes } = await engine.build({ id, ...this.weightsOf(entry) })
      const known = entry.record.seal
      if (known !== null && known !== seal) {
        await engine.unload(id)
        throw new ServiceError(
          'WEIGHTS_DIVERGED',
          `the variables of ${id} are sealed ${known}, this build gave ${seal}; it is not served`,
        )
      }
      entry.artifactBytes = artifactBytes
      entry.buildMs = Date.now() - started
      entry.residentBytes = variableBytes
      if (known === null) await this.#keep(entry, { seal })
      entry.lastError = null
      entry.state = 'ready'
      logger.info({ model: id, ms: entry.buildMs }, 'model ready')
    } catch (error) {
      entry.state = 'failed'
      const { code, message } =
        error instanceof ServiceError ? error : new ServiceError('INTERNAL', 'the build failed')
      entry.lastError = { code, detail: message }
      logger.error({ model: id, err: error }, 'build failed')
      throw error
    }
    if (entry.record.weights_sha256 === null) this.#digest(entry)
  }

  /** The digest of the true parameters follows the build, in the analysis process. */
  #digest(entry: Entry): void {
    const { analysis, logger } = this.#options
    const digest = analysis
      .digest(this.weightsOf(entry), { buffers: false })
      .then((weights_sha256) => this.#keep(entry, { weights_sha256 }))
      .catch((error: unknown) => {
        logger.error({ model: entry.record.id, err: error }, 'digest failed')
      })
      .finally(() => this.#background.delete(digest))
    this.#background.add(digest)
  }

  async #keep(entry: Entry, change: Partial<Pick<StoredModel, 'seal' | 'weights_sha256'>>): Promise<void> {
    entry.record = { ...entry.record, ...change }
    // A model deleted meanwhile must not come back.
    if (this.#entries.get(entry.record.id) === entry) await this.#write(entry)
  }

  #write(entry: Entry, weights?: StagedWeights): Promise<void> {
    entry.written = entry.written
      .catch(() => undefined)
      .then(() => this.#options.store.save(entry.record, weights))
    return entry.written
  }

  /** Unloads the models longest unused until the new one fits the budget; one that never fits is built alone. */
  async #makeRoom(entry: Entry): Promise<void> {
    const { engine, memoryBudgetBytes, logger } = this.#options
    const others = [...this.#entries.values()].filter((other) => other !== entry && other.state === 'ready')
    let resident = others.reduce((sum, { residentBytes }) => sum + residentBytes, entry.totals.bytes)
    for (const victim of others.sort((a, b) => a.lastUsed - b.lastUsed)) {
      if (resident <= memoryBudgetBytes) return
      victim.state = 'unloaded'
      resident -= victim.residentBytes
      victim.residentBytes = 0
      logger.info({ model: victim.record.id }, 'model unloaded to make room')
      await engine.unload(victim.record.id)
    }
  }
}

function notFound(reference: string): ServiceError {
  const hint = isId(reference)
    ? 'POST its specification to /v1/models'
    : 'GET /v1/models lists those there are'
  return new ServiceError('MODEL_NOT_FOUND', `there is no model ${JSON.stringify(reference)}; ${hint}`)
}
