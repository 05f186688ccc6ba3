import type { Logger } from 'pino'
import { readFactors } from '../../analysis/contract.ts'
import type { WeightsSource } from '../../network/weights-source.ts'
import { ServiceError } from '../../common/errors.ts'
import { isMeasured } from '../../network/schemes.ts'
import type { Model } from './model.ts'
import type { StoredModel } from './records.ts'
import type { StagedWeights, Store } from './store.ts'
import { damaged, Verification } from './weights-verification.ts'

export interface ModelWeightsOptions {
  readonly store: Store
  readonly logger: Logger
  /** Called when the stored weights of a model were found damaged. */
  readonly failed: (id: string, error: ServiceError) => Promise<void>
}

/** Weights, and what is equal as long as their file is the same. */
interface Verified {
  readonly source: WeightsSource
  readonly stamp: string
}

/** Where models' weights come from. Those that a file holds are verified whenever it is another than before. */
export class ModelWeights {
  readonly #options: ModelWeightsOptions
  readonly #verification: Verification

  constructor(options: ModelWeightsOptions) {
    this.#options = options
    this.#verification = new Verification((id) => options.store.weightsFile(id))
  }

  /** WEIGHTS_DIVERGED where they are not what they were, WEIGHTS_DAMAGED where their file is not what was loaded. */
  async of(model: Model): Promise<WeightsSource> {
    return (await this.#verified(model)).source
  }

  /** The same while they are read; what was read counts only where their file stayed the same meanwhile. */
  async with<R>(model: Model, use: (source: WeightsSource) => Promise<R>): Promise<R> {
    const { source, stamp } = await this.#verified(model)
    const result = await use(source)
    if (stamp !== (await this.#verified(model)).stamp)
      throw damaged(model.record.id, 'their file was replaced while it was read')
    return result
  }

  /** Puts weights that were sent again in the place of those that are stored, where these are damaged. */
  async repair(record: StoredModel, weights: StagedWeights): Promise<void> {
    if (record.weights !== 'loaded') return
    try {
      await this.#verification.verify(record)
    } catch {
      await this.#options.store.replaceWeights(record.id, weights)
      this.#options.logger.info({ model: record.id }, 'damaged weights were replaced by those sent again')
    }
  }

  /** For a model that is gone. */
  forget(id: string): void {
    this.#verification.forget(id)
  }

  async #verified({ record, lastError }: Model): Promise<Verified> {
    if (lastError?.code === 'WEIGHTS_DIVERGED') throw new ServiceError('WEIGHTS_DIVERGED', lastError.detail)
    const { specification, weights, id, measured } = record
    if (weights === 'loaded')
      return {
        source: { specification, weightsFile: this.#options.store.weightsFile(id) },
        stamp: await this.#verify(record),
      }
    if (measured === undefined && isMeasured(specification))
      throw new ServiceError(
        'MODEL_NOT_READY',
        `${id} has no weights before they are measured (lsuv); ask when it is ready`,
      )
    return { source: { specification, ...(measured && { factors: readFactors(measured) }) }, stamp: '' }
  }

  async #verify(record: StoredModel): Promise<string> {
    try {
      return await this.#verification.verify(record)
    } catch (error) {
      if (error instanceof ServiceError) await this.#options.failed(record.id, error)
      throw error
    }
  }
}
