import { lstat, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { ServiceError } from '../../common/errors.ts'
import { storageFailed, UnusableFile } from '../../common/storage-errors.ts'
import { BadEntries } from './bad-entries.ts'
import { Changes } from './change-markers.ts'
import { errnoCode, createDurably, makeFolder, moveDurably, syncFolder } from './files.ts'
import { NameFiles } from './name-files.ts'
import { isId } from './names.ts'
import {
  factFile,
  MAX_RECORD_BYTES,
  readFact,
  readFacts,
  readModel,
  recordFile,
  type Facts,
  type ReadModel,
  type StoredModel,
} from './records.ts'
import { Staging, type TempPath } from './staging.ts'
import { stored } from './store-change.ts'

/** Weights on their way in. */
export type StagedWeights = TempPath

const WEIGHTS = 'weights.safetensors'

/**
 * Models and names as files, which any number of services share: `models/<id>/model.json` (with `weights.safetensors`
 * where weights were loaded, and a file for each fact), `names/<name>`, `changes/` and `staging/`. A model's folder is
 * filled in the staging folder and comes and goes by one rename, and a rename replaces no folder that holds something: so
 * whoever reads sees a whole model or none, and of two who create one the second finds it there.
 */
export class Store {
  readonly names: NameFiles
  readonly #models: string
  readonly #names: string
  readonly #staging: Staging
  readonly #changes: Changes
  readonly #bad: BadEntries

  private constructor(folder: string, staging: Staging, bad: BadEntries) {
    this.#models = join(folder, 'models')
    this.#names = join(folder, 'names')
    this.#staging = staging
    this.#changes = new Changes(join(folder, 'changes'))
    this.#bad = bad
    this.names = new NameFiles({
      ...{ folder: this.#names, staging, bad },
      isModel: async (id) => (await this.read(id)) !== undefined,
      changed: (name) => this.#changes.announce(name),
    })
  }

  /** What cannot be used in the folder is reported to `bad`. */
  static open(folder: string, bad: BadEntries = new BadEntries()): Promise<Store> {
    return stored(async () => {
      for (const part of ['models', 'names', 'changes']) await makeFolder(join(folder, part))
      // Names were once written beside themselves; nothing that is written now ends so.
      for (const name of await readdir(join(folder, 'names')))
        if (name.endsWith('.tmp')) await rm(join(folder, 'names', name), { recursive: true, force: true })
      return new Store(folder, await Staging.open(join(folder, 'staging'), undefined, bad), bad)
    })
  }

  /** Removes what this service staged. */
  close(): Promise<void> {
    return this.#staging.close()
  }

  /** What a service has to do now and then so that others know that it lives. */
  heartbeat(): Promise<void> {
    return this.#staging.heartbeat()
  }

  /** Names and ids that other services changed since the last call; undefined where all of them may have. */
  changed(): Promise<ReadonlySet<string> | undefined> {
    return this.#changes.read()
  }

  /** What is equal as long as no model and no name has come or gone, as far as the times of the folders tell. */
  async stamp(): Promise<string> {
    const found = await Promise.all([this.#models, this.#names].map((path) => stat(path, { bigint: true })))
    return found.map(({ mtimeNs, ino }) => `${String(mtimeNs)}.${String(ino)}`).join()
  }

  /** Ids of models there may be. */
  async ids(): Promise<string[]> {
    const found = await readdir(this.#models)
    this.#bad.retain('models', found)
    return found.filter(isId)
  }

  /** A model; undefined where it is not there, or what is there cannot be used, which is reported. */
  async find(id: string): Promise<ReadModel | undefined> {
    try {
      const found = await this.read(id)
      if (found === undefined && (await this.has(id))) throw new UnusableFile('it holds no record')
      this.#bad.clear(`models/${id}`)
      return found
    } catch (error) {
      this.#bad.report(`models/${id}`, error)
      return undefined
    }
  }

  /** A model; undefined where it is not there, an error where it cannot be used. */
  read(id: string): Promise<ReadModel | undefined> {
    return readModel(join(this.#models, id), id)
  }

  /** Whether there is anything under an id, whatever it is. */
  async has(id: string): Promise<boolean> {
    try {
      await lstat(join(this.#models, id))
      return true
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return false
      throw error
    }
  }

  /** What is known of a model by now; nothing where it cannot be read, which is reported. */
  async facts(id: string): Promise<Partial<Facts>> {
    try {
      const facts = await readFacts(join(this.#models, id))
      this.#bad.clear(`models/${id}`)
      return facts
    } catch (error) {
      this.#bad.report(`models/${id}`, error)
      return {}
    }
  }

  weightsFile(id: string): string {
    return join(this.#models, id, WEIGHTS)
  }

  /** Writes a stream to disk, to be checked before it is kept. */
  async createTemp(source: Readable): Promise<StagedWeights> {
    try {
      return await this.#staging.write(source)
    } catch (error) {
      // Only the file's side makes system calls; any other failure is the source's own.
      throw (error as NodeJS.ErrnoException).syscall === undefined ? error : storageFailed(error)
    }
  }

  /** A folder for what is written only to be sent. */
  stageFolder(): Promise<TempPath> {
    return stored(async () => {
      await this.#staging.ensure()
      const staged = this.#staging.createTemp()
      await mkdir(staged.path)
      return staged
    })
  }

  /** Keeps a new model and weights that were staged for it; gives the record that is there: it may be another service's. */
  create(model: StoredModel, weights?: StagedWeights): Promise<StoredModel> {
    return this.#changing(model.id, async (target) => {
      const text = JSON.stringify(model)
      if (Buffer.byteLength(text) > MAX_RECORD_BYTES)
        throw new ServiceError(
          'INVALID_REQUEST',
          `the specification has more than the ${String(MAX_RECORD_BYTES)} bytes that a record may have`,
        )
      await makeFolder(this.#models)
      const folder = this.#staging.createTemp()
      try {
        await mkdir(folder.path)
        if (weights) await rename(weights.path, join(folder.path, WEIGHTS))
        await writeFile(recordFile(folder.path), text, { flag: 'wx', flush: true })
        await syncFolder(folder.path)
        for (;;) {
          try {
            await moveDurably(folder.path, target)
            return model
          } catch (error) {
            if (!['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(errnoCode(error) ?? '')) throw error
          }
          const there = await this.#usable(model.id)
          if (there !== undefined) return there.record
          // A folder without a record that can be used is no model.
          await this.#takeAway(target)
        }
      } finally {
        await folder.discard()
      }
    })
  }

  /** Puts weights in the place of those of a model that is there: the same ones, where they were damaged. */
  replaceWeights(id: string, weights: StagedWeights): Promise<void> {
    return this.#changing(id, async () => {
      const path = this.weightsFile(id)
      try {
        await moveDurably(weights.path, path)
      } catch (error) {
        if (errnoCode(error) !== 'EISDIR') throw error
        await this.#takeAway(path)
        await moveDurably(weights.path, path)
      }
    })
  }

  /** Keeps a fact, unless there is one already: gives the one that is kept, or undefined where the model is gone. */
  keep<F extends keyof Facts>(
    id: string,
    fact: F,
    value: NonNullable<Facts[F]>,
  ): Promise<Facts[F] | undefined> {
    return this.#changing(id, async (folder) => {
      try {
        if (await createDurably(factFile(folder, fact), JSON.stringify(value), this.#staging.path))
          return value
        return await readFact(folder, fact)
      } catch (error) {
        if (errnoCode(error) === 'ENOENT' && (await this.read(id)) === undefined) return undefined
        throw error
      }
    })
  }

  /** Takes a model away, for everybody at once; or whatever else has its id. */
  remove(id: string): Promise<void> {
    return this.#changing(id, (path) => this.#takeAway(path))
  }

  #changing<R>(id: string, change: (folder: string) => Promise<R>): Promise<R> {
    return stored(async () => {
      await this.#staging.ensure()
      const result = await change(join(this.#models, id))
      await this.#changes.announce(id)
      return result
    })
  }

  /** A model, or undefined where what is there is none. What cannot be read now may be one. */
  async #usable(id: string): Promise<ReadModel | undefined> {
    try {
      return await this.read(id)
    } catch (error) {
      if (error instanceof UnusableFile) return undefined
      throw error
    }
  }

  async #takeAway(path: string): Promise<void> {
    const taken = this.#staging.createTemp()
    try {
      await rename(path, taken.path)
      await syncFolder(this.#models)
    } catch (error) {
      // Another service was faster; but where there are no models at all, nothing was removed.
      if (errnoCode(error) !== 'ENOENT') throw error
      await stat(this.#models)
    }
    // It is gone for everybody; what cannot be removed of it is reported by a later sweep.
    await taken.discard().catch(() => undefined)
  }
}
