import { lstat, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { ServiceError } from '../../common/errors.ts'
import { storageFailed, UnusableFile } from '../../common/storage-errors.ts'
import { BadEntries } from './bad-entries.ts'
import { ChangeMarkers } from './change-markers.ts'
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
import { changeStore } from './store-change.ts'

/** Uploaded weights that are not stored yet. */
export type StagedWeights = TempPath

const WEIGHTS = 'weights.safetensors'

/**
 * Models and names as files, shared by any number of services: `models/<id>/model.json` (with `weights.safetensors` for
 * uploaded weights, and one file per fact), `names/<name>`, `changes/` and `staging/`. A model's directory is filled in
 * the staging directory, and created and removed by one rename. A rename never replaces a directory that is not empty.
 * So a reader sees a complete model or none, and the second of two concurrent writers finds the first one's model.
 */
export class Store {
  readonly names: NameFiles
  readonly #models: string
  readonly #names: string
  readonly #staging: Staging
  readonly #markers: ChangeMarkers
  readonly #bad: BadEntries

  private constructor(folder: string, staging: Staging, bad: BadEntries) {
    this.#models = join(folder, 'models')
    this.#names = join(folder, 'names')
    this.#staging = staging
    this.#markers = new ChangeMarkers(join(folder, 'changes'))
    this.#bad = bad
    this.names = new NameFiles({
      ...{ folder: this.#names, staging, bad },
      isModel: async (id) => (await this.read(id)) !== undefined,
      changed: (name) => this.#markers.announce(name),
    })
  }

  /** Opens a data directory. Unusable entries are reported to `bad`. */
  static open(folder: string, bad: BadEntries = new BadEntries()): Promise<Store> {
    return changeStore(async () => {
      for (const part of ['models', 'names', 'changes']) await makeFolder(join(folder, part))
      // Older versions wrote temporary files here; no other file ends in .tmp.
      for (const name of await readdir(join(folder, 'names')))
        if (name.endsWith('.tmp')) await rm(join(folder, 'names', name), { recursive: true, force: true })
      return new Store(folder, await Staging.open(join(folder, 'staging'), undefined, bad), bad)
    })
  }

  /** Removes this service's temporary files. */
  close(): Promise<void> {
    return this.#staging.close()
  }

  /** Sends a heartbeat to the other services. Call it regularly. */
  heartbeat(): Promise<void> {
    return this.#staging.heartbeat()
  }

  /**
   * The names and ids that were announced as changed since the last call; undefined if announcements may have been
   * missed.
   */
  changed(): Promise<ReadonlySet<string> | undefined> {
    return this.#markers.read()
  }

  /**
   * The modification times and inodes of the directories of models and names. They change when an entry is added,
   * replaced or removed, unless the file system's clock is too coarse.
   */
  async stamp(): Promise<string> {
    const found = await Promise.all([this.#models, this.#names].map((path) => stat(path, { bigint: true })))
    return found.map(({ mtimeNs, ino }) => `${String(mtimeNs)}.${String(ino)}`).join()
  }

  /** The ids of all models, including unusable ones. */
  async ids(): Promise<string[]> {
    const found = await readdir(this.#models)
    this.#bad.retain('models', found)
    return found.filter(isId)
  }

  /** Reads a model; undefined if it is missing or unusable. An unusable model is reported. */
  async find(id: string): Promise<ReadModel | undefined> {
    try {
      const found = await this.read(id)
      if (found === undefined && (await this.has(id))) throw new UnusableFile('it contains no record')
      this.#bad.clear(`models/${id}`)
      return found
    } catch (error) {
      this.#bad.report(`models/${id}`, error)
      return undefined
    }
  }

  /** Reads a model; undefined if it is missing. Rejects if it is unusable. */
  read(id: string): Promise<ReadModel | undefined> {
    return readModel(join(this.#models, id), id)
  }

  /** True if there is an entry with this id, usable or not. */
  async has(id: string): Promise<boolean> {
    try {
      await lstat(join(this.#models, id))
      return true
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return false
      throw error
    }
  }

  /** Reads the stored facts of a model; none if they are unusable, which is reported. */
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

  /** Writes a stream to a temporary file. */
  async createTemp(source: Readable): Promise<StagedWeights> {
    try {
      return await this.#staging.write(source)
    } catch (error) {
      // Only the writing side makes system calls; other errors come from the source.
      throw (error as NodeJS.ErrnoException).syscall === undefined ? error : storageFailed(error)
    }
  }

  /** Returns an unused path for a weights file that another process writes. */
  stageFile(): Promise<StagedWeights> {
    return changeStore(async () => {
      await this.#staging.ensure()
      return this.#staging.createTemp('.safetensors')
    })
  }

  /** Creates a temporary directory, for files that are sent and then removed. */
  stageFolder(): Promise<TempPath> {
    return changeStore(async () => {
      await this.#staging.ensure()
      const staged = this.#staging.createTemp()
      await mkdir(staged.path)
      return staged
    })
  }

  /**
   * Stores a new model with its staged weights. Returns the stored record, which another service may have written
   * first.
   */
  create(model: StoredModel, weights?: StagedWeights): Promise<StoredModel> {
    return this.#change(model.id, async (target) => {
      const text = JSON.stringify(model)
      if (Buffer.byteLength(text) > MAX_RECORD_BYTES)
        throw new ServiceError(
          'INVALID_REQUEST',
          `the specification exceeds the limit of ${String(MAX_RECORD_BYTES)} bytes for a record`,
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
          const existing = await this.#readUsable(model.id)
          if (existing !== undefined) return existing.record
          // A directory without a usable record is not a model.
          await this.#moveAway(target)
        }
      } finally {
        await folder.discard()
      }
    })
  }

  /** Replaces the damaged weights of a model by the same weights, uploaded again. */
  replaceWeights(id: string, weights: StagedWeights): Promise<void> {
    return this.#change(id, async () => {
      const path = this.weightsFile(id)
      try {
        await moveDurably(weights.path, path)
      } catch (error) {
        if (errnoCode(error) !== 'EISDIR') throw error
        await this.#moveAway(path)
        await moveDurably(weights.path, path)
      }
    })
  }

  /** Stores a fact unless there is one. Returns the stored fact; undefined if the model was deleted. */
  keep<F extends keyof Facts>(
    id: string,
    fact: F,
    value: NonNullable<Facts[F]>,
  ): Promise<Facts[F] | undefined> {
    return this.#change(id, async (folder) => {
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

  /** Removes a model, or an unusable entry with its id, atomically for all services. */
  remove(id: string): Promise<void> {
    return this.#change(id, (path) => this.#moveAway(path))
  }

  #change<R>(id: string, change: (folder: string) => Promise<R>): Promise<R> {
    return changeStore(async () => {
      await this.#staging.ensure()
      const result = await change(join(this.#models, id))
      await this.#markers.announce(id)
      return result
    })
  }

  /** Reads a model; undefined if it is missing or unusable. A failed read rejects: the model may be usable. */
  async #readUsable(id: string): Promise<ReadModel | undefined> {
    try {
      return await this.read(id)
    } catch (error) {
      if (error instanceof UnusableFile) return undefined
      throw error
    }
  }

  async #moveAway(path: string): Promise<void> {
    const removed = this.#staging.createTemp()
    try {
      await rename(path, removed.path)
      await syncFolder(this.#models)
    } catch (error) {
      // Another service has removed it; a missing `models` directory is an error.
      if (errnoCode(error) !== 'ENOENT') throw error
      await stat(this.#models)
    }
    // The entry is no longer visible; a later sweep reports files that cannot be deleted.
    await removed.discard().catch(() => undefined)
  }
}
