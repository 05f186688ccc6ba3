import type { Logger } from 'pino'
import type { Analysis } from '../../analysis/contract.ts'
import { isMeasured } from '../../network/schemes.ts'
import type { WeightsSource } from '../../network/weights-source.ts'
import type { BackgroundTasks } from './background-tasks.ts'
import type { Entry } from './model.ts'
import type { Facts } from './records.ts'
import type { Store } from './store.ts'

export interface ModelFactsOptions {
  readonly store: Store
  readonly analysis: Analysis
  readonly tasks: BackgroundTasks
  readonly logger: Logger
  /** False for a deleted model. */
  readonly isPresent: (entry: Entry) => boolean
  readonly withWeights: <R>(entry: Entry, use: (source: WeightsSource) => Promise<R>) => Promise<R>
}

/** The facts that are computed after a model's creation: measured factors, seal and digest. */
export class ModelFacts {
  readonly #options: ModelFactsOptions

  constructor(options: ModelFactsOptions) {
    this.#options = options
  }

  /** Measures the factors of LSUV once, before the first build. */
  async measure(entry: Entry): Promise<void> {
    const { store, analysis } = this.#options
    const { specification, weights, id } = entry.record
    if (weights === 'loaded' || !isMeasured(specification)) return
    if (entry.record.measured !== undefined) return
    const existing = (await store.facts(id)).measured
    await this.keep(entry, 'measured', existing ?? (await analysis.unitVariance(specification)))
  }

  /** Computes the digest of the trainable parameters in the background, after a build. */
  startDigest(entry: Entry): void {
    const { tasks, isPresent, logger } = this.#options
    if (entry.record.weights_sha256 !== null || !isPresent(entry)) return
    entry.digesting = this.#computeDigest(entry)
      .then(async (digest) => {
        await this.keep(entry, 'weights_sha256', digest)
      })
      .catch((error: unknown) => {
        if (isPresent(entry)) logger.error({ model: entry.record.id, err: error }, 'digest failed')
      })
    tasks.add(entry.digesting)
  }

  /** The digest of the trainable parameters; computed now if the background task failed. */
  async readDigest(entry: Entry): Promise<string> {
    await entry.digesting
    return entry.record.weights_sha256 ?? this.#computeDigest(entry)
  }

  /** Stores a fact. First writer wins; the others adopt the stored value. A deleted model keeps its value in memory. */
  async keep<F extends keyof Facts>(
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

  #computeDigest(entry: Entry): Promise<string> {
    const { analysis, withWeights } = this.#options
    return withWeights(entry, (source) => analysis.digest(source, { buffers: false }))
  }
}
