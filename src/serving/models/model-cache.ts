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
  readonly entries: ModelIndex<Entry>
  readonly quarantine: Quarantine
  readonly memoryBudgetBytes: number
  readonly logger: Logger
  readonly tracing: Tracing
  readonly withWeights: <R>(entry: Entry, use: (source: WeightsSource) => Promise<R>) => Promise<R>
  /** What must be known of a model before it is built the first time, and is kept then. */
  readonly prepare: (entry: Entry) => Promise<void>
  /** Keeps the seal of a first build and gives the one that is kept: another service may have been first. */
  readonly keepSeal: (entry: Entry, seal: string) => Promise<string>
  /** Called after every build that succeeded. */
  readonly built: (entry: Entry) => void
}

/**
 * Which models the engine holds: built when they are needed, evicted when memory is short, built again after it died.
 * Every build's seal is compared with the first; a model whose weights diverged is never served.
 */
export class ModelCache {
  readonly #options: ModelCacheOptions
  #uses = 0

  constructor(options: ModelCacheOptions) {
    this.#options = options
  }

  /** Whether the model can predict now; asking counts as using it. */
  isReady(entry: Entry): boolean {
    entry.lastUsed = ++this.#uses
    return entry.state === 'ready'
  }

  /** Resolves when the model can predict; concurrent callers share one build. */
  async ensureReady(entry: Entry): Promise<void> {
    if (this.isReady(entry)) return
    const refusal = this.#options.quarantine.blockedError(entry.record.id)
    if (refusal !== undefined) throw refusal
    if (entry.lastError?.code === 'WEIGHTS_DIVERGED')
      throw new ServiceError('WEIGHTS_DIVERGED', entry.lastError.detail)
    entry.building ??= this.#buildWithSpan(entry).finally(() => {
      entry.building = undefined
    })
    await entry.building
  }

  /** The engine died, or lacks one model: what it held must be built again when it is next asked for. */
  engineLost(id?: string): void {
    for (const entry of this.#options.entries.held()) {
      if (id !== undefined && entry.record.id !== id) continue
      if (entry.state === 'ready') entry.state = 'unloaded'
      entry.residentBytes = 0
    }
  }

  /** The engine keeps dying of the model: it is not served until its quarantine ends. */
  quarantined(entry: Entry, { code, message }: ServiceError): void {
    entry.state = 'failed'
    entry.lastError = { code, detail: message }
    this.#options.logger.error({ model: entry.record.id }, 'model quarantined: the engine dies of it')
  }

  /** Its weights cannot be used: it is not served before they can. */
  async fail(entry: Entry, { code, message }: ServiceError): Promise<void> {
    // A build that is under way fails of it, too.
    if (entry.state === 'building' || entry.lastError?.detail === message) return
    this.#options.logger.error(
      { model: entry.record.id, reason: message },
      'model failed: its weights cannot be used',
    )
    await this.unload(entry)
    entry.state = 'failed'
    entry.lastError = { code, detail: message }
  }

  /** Takes a model from the engine; one that died holds nothing any more. */
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
        // Only now: weights that cannot be used take no other model's place.
        await this.#evict(entry)
        const built = await this.#buildWithRetries(id, source)
        entry.residentBytes = this.#costOf(entry)
        return built
      })
      const kept = known ?? (await keepSeal(entry, seal))
      if (kept !== seal) {
        throw new ServiceError(
          'WEIGHTS_DIVERGED',
          `the variables of ${id} are sealed ${kept}, this build gave ${seal}; it is not served`,
        )
      }
      entry.artifactBytes = artifactBytes
      entry.buildMs = Date.now() - started
      if (entry.residentBytes === 0)
        throw new ServiceError('ENGINE_CRASHED', 'the engine died while the model was built')
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

  /** As pure as a prediction, so asked again when the engine died over it, unless it keeps dying of it. */
  async #buildWithRetries(id: string, source: WeightsSource): Promise<BuildResult> {
    const { engine, quarantine } = this.#options
    const deaths: EngineCrash[] = []
    for (;;) {
      try {
        const built = await quarantine.run(
          'build',
          id,
          () => engine.build({ id, ...source }),
          (death) => {
            death.claim()
            deaths.push(death)
          },
        )
        for (const death of deaths) death.settle()
        return built
      } catch (error) {
        if (!isCrash(error)) throw error
        const refusal = quarantine.blockedError(id)
        if (refusal !== undefined) throw refusal
      }
    }
  }

  /** Every device's engine holds it. */
  #costOf({ footprint }: Entry): number {
    return footprint * this.#options.engine.concurrency
  }

  /** Unloads the models longest unused until the new one fits the budget; one that never fits is built alone. */
  async #evict(entry: Entry): Promise<void> {
    const { entries, memoryBudgetBytes, logger } = this.#options
    const others = entries.held().filter((other) => other !== entry)
    // Those that are being built beside it will need their room too.
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
