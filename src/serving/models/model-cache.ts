import type { Logger } from 'pino'
import type { WeightsSource } from '../../network/weights-source.ts'
import type { BuildResult, Engine } from '../../engine/contract.ts'
import { isCrash, ServiceError } from '../../common/errors.ts'
import type { Tracing } from '../../telemetry/tracing.ts'
import type { ModelIndex } from './model-index.ts'
import type { Entry } from './model.ts'
import type { EngineCrash, Quarantine } from '../prediction/quarantine.ts'

export interface ModelCacheOptions {
  readonly engine: Engine
  readonly index: ModelIndex<Entry>
  readonly quarantine: Quarantine
  readonly memoryBudgetBytes: number
  readonly logger: Logger
  readonly tracing: Tracing
  readonly withWeights: <R>(entry: Entry, use: (source: WeightsSource) => Promise<R>) => Promise<R>
  /** Computes and stores the facts that the first build of a model needs. */
  readonly prepare: (entry: Entry) => Promise<void>
  /** Stores the seal of a first build. Returns the stored seal, which another service may have written first. */
  readonly keepSeal: (entry: Entry, seal: string) => Promise<string>
  /** Called after every successful build. */
  readonly built: (entry: Entry) => void
}

/**
 * The models in the engine: built on demand, evicted when memory is short, built again after a crash. Compares the seal of
 * every build with the first one; a model whose weights diverged is never served.
 */
export class ModelCache {
  readonly #options: ModelCacheOptions
  #uses = 0

  constructor(options: ModelCacheOptions) {
    this.#options = options
  }

  /** Counts a use of the model. Returns true if it can predict now. */
  touchAndCheckReady(entry: Entry): boolean {
    entry.lastUsed = ++this.#uses
    return entry.state === 'ready'
  }

  /** Resolves when the model can predict. Concurrent callers share one build. */
  async ensureReady(entry: Entry): Promise<void> {
    if (this.touchAndCheckReady(entry)) return
    const blockedError = this.#options.quarantine.blockedError(entry.record.id)
    if (blockedError !== undefined) throw blockedError
    if (entry.lastError?.code === 'WEIGHTS_DIVERGED')
      throw new ServiceError('WEIGHTS_DIVERGED', entry.lastError.detail)
    entry.building ??= this.#buildWithSpan(entry).finally(() => {
      entry.building = undefined
    })
    await entry.building
  }

  /** Marks one model, or all after a crash, as no longer in the engine: their next use builds them again. */
  engineLost(id?: string): void {
    for (const entry of this.#options.index.listAll()) {
      if (id !== undefined && entry.record.id !== id) continue
      if (entry.state === 'ready') entry.state = 'unloaded'
      entry.residentBytes = 0
    }
  }

  /** Marks a model as failed until its quarantine ends. */
  quarantined(entry: Entry, { code, message }: ServiceError): void {
    entry.state = 'failed'
    entry.lastError = { code, detail: message }
    this.#options.logger.error({ model: entry.record.id }, 'model quarantined: it crashes the engine')
  }

  /** Marks a model as failed because its weights cannot be used. */
  async fail(entry: Entry, { code, message }: ServiceError): Promise<void> {
    // A running build fails with the same error.
    if (entry.state === 'building' || entry.lastError?.detail === message) return
    this.#options.logger.error(
      { model: entry.record.id, reason: message },
      'model failed: its weights cannot be used',
    )
    await this.unload(entry)
    entry.state = 'failed'
    entry.lastError = { code, detail: message }
  }

  /** The number of resident models and their memory. */
  get resident(): { readonly models: number; readonly bytes: number } {
    const resident = this.#options.index.listAll().filter(({ residentBytes }) => residentBytes > 0)
    return {
      models: resident.length,
      bytes: resident.reduce((sum, { residentBytes }) => sum + residentBytes, 0),
    }
  }

  /** Unloads a model from the engine. */
  async unload(entry: Entry): Promise<void> {
    if (entry.state === 'ready') entry.state = 'unloaded'
    if (entry.residentBytes === 0) return
    entry.residentBytes = 0
    await this.#options.engine.unload(entry.record.id).catch(() => undefined)
  }

  #buildWithSpan(entry: Entry): Promise<void> {
    const attributes = { 'resinit.model': entry.record.id, 'resinit.bytes': entry.totals.bytes }
    return this.#options.tracing.span('build', attributes, () => this.#build(entry))
  }

  async #build(entry: Entry): Promise<void> {
    const { logger, withWeights, prepare, keepSeal } = this.#options
    const { id, seal: known } = entry.record
    const started = Date.now()
    entry.state = 'building'
    try {
      await prepare(entry)
      const { seal, artifactBytes } = await withWeights(entry, async (source) => {
        // After the weights are verified: unusable weights evict no other model.
        await this.#evict(entry)
        const built = await this.#buildWithRetries(id, source)
        entry.residentBytes = this.#costOf(entry)
        return built
      })
      const kept = known ?? (await keepSeal(entry, seal))
      if (kept !== seal) {
        throw new ServiceError(
          'WEIGHTS_DIVERGED',
          `the variables of ${id} have the seal ${kept}, this build has the seal ${seal}; the model is not served`,
        )
      }
      entry.artifactBytes = artifactBytes
      entry.buildMs = Date.now() - started
      // `engineLost` sets 0 if the engine crashes while the seal is stored.
      if (entry.residentBytes === 0)
        throw new ServiceError('ENGINE_CRASHED', 'the engine crashed during the build of the model')
      entry.lastError = null
      entry.state = 'ready'
      logger.info({ model: id, ms: entry.buildMs }, 'model ready')
    } catch (error) {
      await this.unload(entry)
      entry.state = 'failed'
      const { code, message } =
        error instanceof ServiceError ? error : new ServiceError('INTERNAL', 'the build failed')
      entry.lastError = { code, detail: message }
      logger.error({ model: id, err: error }, 'build failed')
      throw error
    }
    this.#options.built(entry)
  }

  /** Builds are pure: repeats a build after a crash, unless the model is quarantined. */
  async #buildWithRetries(id: string, source: WeightsSource): Promise<BuildResult> {
    const { engine, quarantine } = this.#options
    const crashes: EngineCrash[] = []
    for (;;) {
      try {
        const built = await quarantine.run(
          'build',
          id,
          () => engine.build({ id, ...source }),
          (crash) => {
            crash.claim()
            crashes.push(crash)
          },
        )
        for (const crash of crashes) crash.settle()
        return built
      } catch (error) {
        if (!isCrash(error)) throw error
        const blockedError = quarantine.blockedError(id)
        if (blockedError !== undefined) throw blockedError
      }
    }
  }

  /** The memory of a model in all engines: every engine has a copy. */
  #costOf({ footprint }: Entry): number {
    return footprint * this.#options.engine.concurrency
  }

  /** Unloads the least recently used models until the new one fits the budget. A model above the budget is built alone. */
  async #evict(entry: Entry): Promise<void> {
    const { index, memoryBudgetBytes, logger } = this.#options
    const others = index.listAll().filter((other) => other !== entry)
    // Models in concurrent builds count with their expected memory.
    let resident = others.reduce(
      (sum, other) => sum + (other.state === 'building' ? this.#costOf(other) : other.residentBytes),
      this.#costOf(entry),
    )
    const ready = others.filter(({ state }) => state === 'ready')
    for (const victim of ready.sort((a, b) => a.lastUsed - b.lastUsed)) {
      if (resident <= memoryBudgetBytes) return
      resident -= victim.residentBytes
      logger.info({ model: victim.record.id }, 'model unloaded to make room')
      await this.unload(victim)
    }
  }
}
