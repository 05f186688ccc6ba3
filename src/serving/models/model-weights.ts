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
  /** Called if the stored weights of a model are damaged. */
  readonly failed: (id: string, error: ServiceError) => Promise<void>
}

/** A source of weights. The stamp changes with the weights file. */
interface Verified {
  readonly source: WeightsSource
  readonly stamp: string
}

/** The sources of models' weights. A weights file is verified whenever it has changed. */
export class ModelWeights {
  readonly #options: ModelWeightsOptions
  readonly #verification: Verification

  constructor(options: ModelWeightsOptions) {
    this.#options = options
    this.#verification = new Verification((id) => options.store.weightsFile(id))
  }

  /** Rejects with WEIGHTS_DIVERGED if a build had a different seal, with WEIGHTS_DAMAGED if the file differs from the upload. */
  async openSource(model: Model): Promise<WeightsSource> {
    return (await this.#verified(model)).source
  }

  /** Runs `use` on the source. Rejects if the weights file changed meanwhile. */
  async withSource<R>(model: Model, use: (source: WeightsSource) => Promise<R>): Promise<R> {
    const { source, stamp } = await this.#verified(model)
    const result = await use(source)
    if (stamp !== (await this.#verified(model)).stamp)
      throw damaged(model.record.id, 'the file was replaced during the read')
    return result
  }

  /** Replaces damaged weights by the same weights, uploaded again. */
  async repair(record: StoredModel, weights: StagedWeights): Promise<void> {
    if (record.weights !== 'loaded') return
    try {
      await this.#verification.verify(record)
    } catch {
      await this.#options.store.replaceWeights(record.id, weights)
      this.#options.logger.info({ model: record.id }, 'damaged weights were replaced by a new upload')
    }
  }

  /** Drops the verification result of a deleted model. */
  purge(id: string): void {
    this.#verification.purge(id)
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
        `the weights of ${id} are not measured yet (lsuv); try again when the model is ready`,
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
