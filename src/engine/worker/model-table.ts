import { Sampler } from '../../tensorflow/sampler.ts'
import { ServiceError } from '../../common/errors.ts'
import { buildModel } from './build-model.ts'
import type { SharedBatchReader } from '../shared-batch-buffer.ts'
import type { BatchResult, BuildRequest, BuildResult, EngineMethods } from '../contract.ts'
import type { Model } from './model.ts'
import type { Backend } from '../../tensorflow/binding.ts'
import { NormFolder } from '../../tensorflow/norm-folding.ts'
import type { Handlers } from '../../ipc/messages.ts'

interface PendingBuild {
  readonly id: string
  readonly steps: ReturnType<typeof buildModel>
}

/** The models of an engine process by id, and its unfinished builds. */
export class Models implements Handlers<EngineMethods> {
  readonly #backend: Backend
  readonly #reader: SharedBatchReader
  readonly #sampler: Sampler
  readonly #folder: NormFolder
  readonly #models = new Map<string, Model>()
  readonly #builds = new Map<number, PendingBuild>()

  private constructor(backend: Backend, reader: SharedBatchReader, sampler: Sampler, folder: NormFolder) {
    this.#backend = backend
    this.#reader = reader
    this.#sampler = sampler
    this.#folder = folder
  }

  static async open(backend: Backend, reader: SharedBatchReader): Promise<Models> {
    return new Models(backend, reader, await Sampler.open(backend), await NormFolder.open(backend))
  }

  begin(build: number, request: BuildRequest): void {
    const steps = buildModel(this.#backend, this.#sampler, this.#folder, request)
    this.#builds.set(build, { id: request.id, steps })
  }

  async step(build: number): Promise<BuildResult | undefined> {
    const pending = this.#builds.get(build)
    // The build began in an earlier process, which crashed.
    if (pending === undefined) throw new ServiceError('ENGINE_CRASHED', 'the engine crashed during the build')
    try {
      const { done, value } = await pending.steps.next()
      if (done !== true) return undefined
      this.#builds.delete(build)
      this.unload(pending.id)
      this.#models.set(pending.id, value.model)
      return value.result
    } catch (error) {
      this.#builds.delete(build)
      throw error
    }
  }

  predict({ id, values, ...batch }: Parameters<EngineMethods['predict']>[0]): BatchResult {
    const model = this.#models.get(id)
    if (model === undefined) throw new ServiceError('MODEL_NOT_READY', `the engine does not hold model ${id}`)
    return model.predict({ ...batch, values: 'slot' in values ? this.#reader.read(values) : values })
  }

  unload(id: string): void {
    this.#models.get(id)?.close()
    this.#models.delete(id)
  }
}
