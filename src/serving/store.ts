import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { LayerScale } from '../analysis/analysis.ts'
import type { Specification } from '../network/specification.ts'
import { storageFailed } from '../storage-errors.ts'
import { codeOf, createDurably, makeFolder, moveDurably, syncFolder, textOf } from './files.ts'
import { NameFiles } from './name-files.ts'
import { isId } from './names.ts'
import { Staging, type Staged } from './staging.ts'
import { stored } from './storage.ts'

/** What is kept of a model: all it takes to build it again and to know that it is the same. */
export interface StoredModel extends Facts {
  readonly id: string
  readonly specification: Specification
  readonly weights: 'initialized' | 'loaded'
  readonly created_at: string
}

/** What is found out about a model after it is there. Whoever finds it first says it for all. */
export interface Facts {
  readonly seal: string | null
  readonly weights_sha256: string | null
  /** What LSUV measured, once: every build multiplies by the same factors. */
  readonly measured?: readonly LayerScale[]
}

/** Weights on their way in. */
export type StagedWeights = Staged

/** Ids of models, and which id each name stands for, whether there is such a model or not. */
export interface Listing {
  readonly ids: readonly string[]
  readonly names: ReadonlyMap<string, string>
}

const RECORD = 'model.json'
const WEIGHTS = 'weights.safetensors'
const FACTS = ['seal', 'weights_sha256', 'measured'] as const
/** So long after a folder's time changed it is read again anyway: some file systems tell times in steps of two seconds. */
const COARSEST_MS = 3000

/**
 * Models and names as files, which any number of services share: `models/<id>/model.json` (with `weights.safetensors`
 * where weights were loaded, and a file for each fact), `names/<name>` and `staging/`. A model's folder is filled in the
 * staging folder and comes and goes by one rename, and a rename replaces no folder that holds something: so whoever
 * reads sees a whole model or none, and of two who create one the second finds it there.
 */
export class Store {
  readonly #models: string
  readonly #names: string
  readonly names: NameFiles
  readonly #staging: Staging
  #stamp = ''
  #changedAt = 0

  private constructor(folder: string, staging: Staging) {
    this.#models = join(folder, 'models')
    this.#names = join(folder, 'names')
    this.#staging = staging
    this.names = new NameFiles(this.#names, staging, async (id) => (await this.read(id)) !== undefined)
  }

  static open(folder: string): Promise<Store> {
    return stored(async () => {
      for (const part of ['models', 'names']) await makeFolder(join(folder, part))
      // Names were once written beside themselves; nothing that is written now ends so.
      for (const name of await readdir(join(folder, 'names')))
        if (name.endsWith('.tmp')) await rm(join(folder, 'names', name), { force: true })
      return new Store(folder, await Staging.open(join(folder, 'staging')))
    })
  }

  /** Removes what this service staged. */
  close(): Promise<void> {
    return this.#staging.close()
  }

  /** What a service has to do now and then so that others know that it lives. */
  tend(): Promise<void> {
    return this.#staging.tend()
  }

  /** What there is, or undefined where nothing can have changed since it was last told. */
  async list(): Promise<Listing | undefined> {
    const times = await Promise.all(
      [this.#models, this.#names].map(async (path) => (await stat(path, { bigint: true })).mtimeNs),
    )
    const stamp = times.join()
    const now = performance.now()
    if (stamp !== this.#stamp) this.#changedAt = now
    else if (now - this.#changedAt > COARSEST_MS) return undefined
    // Names first: a name is written after its model, so one whose model is not there now has lost it.
    const names = await this.names.read()
    const ids = (await readdir(this.#models)).filter(isId)
    this.#stamp = stamp
    return { ids, names }
  }

  /** A model's record; undefined where it is not there, an error where it cannot be read. */
  async read(id: string): Promise<StoredModel | undefined> {
    const text = await textOf(join(this.#models, id, RECORD))
    if (text === undefined) return undefined
    const record = JSON.parse(text) as StoredModel | null
    if (record?.id !== id) throw new TypeError('it is not the record of this model')
    const facts = await Promise.all(
      FACTS.map(async (fact) => [fact, await this.#readFact(id, fact)] as const),
    )
    return { ...record, ...Object.fromEntries(facts.filter(([, value]) => value !== undefined)) }
  }

  weightsFile(id: string): string {
    return join(this.#models, id, WEIGHTS)
  }

  /** Writes a stream to disk, to be checked before it is kept. */
  async stage(source: Readable): Promise<StagedWeights> {
    try {
      return await this.#staging.write(source)
    } catch (error) {
      // Only the file's side makes system calls; any other failure is the source's own.
      throw (error as NodeJS.ErrnoException).syscall === undefined ? error : storageFailed(error)
    }
  }

  /** A folder for what is written only to be sent. */
  async stageFolder(): Promise<Staged> {
    const staged = this.#staging.place()
    await stored(() => mkdir(staged.path))
    return staged
  }

  /** Keeps a new model and weights that were staged for it; gives the record that is there: it may be another service's. */
  create(model: StoredModel, weights?: StagedWeights): Promise<StoredModel> {
    return stored(async () => {
      const folder = this.#staging.place()
      const target = join(this.#models, model.id)
      try {
        await mkdir(folder.path)
        if (weights) await rename(weights.path, join(folder.path, WEIGHTS))
        await writeFile(join(folder.path, RECORD), JSON.stringify(model), { flag: 'wx', flush: true })
        await syncFolder(folder.path)
        for (;;) {
          try {
            await moveDurably(folder.path, target)
            return model
          } catch (error) {
            if (!['ENOTEMPTY', 'EEXIST'].includes(codeOf(error) ?? '')) throw error
          }
          const there = await this.read(model.id).catch(() => undefined)
          if (there !== undefined) return there
          // A folder without a record that can be read is no model.
          await this.#takeAway(target)
        }
      } finally {
        await folder.discard()
      }
    })
  }

  /** Keeps a fact, unless there is one already: gives the one that is kept, or undefined where the model is gone. */
  async keep<F extends keyof Facts>(id: string, fact: F, value: NonNullable<Facts[F]>): Promise<Facts[F]> {
    return stored(async () => {
      try {
        const path = join(this.#models, id, `${fact}.json`)
        if (await createDurably(path, JSON.stringify(value), this.#staging.path)) return value
        return await this.#readFact(id, fact)
      } catch (error) {
        if (codeOf(error) === 'ENOENT' && (await this.read(id)) === undefined) return undefined as Facts[F]
        throw error
      }
    })
  }

  /** Takes a model away, for everybody at once. */
  remove(id: string): Promise<void> {
    return stored(() => this.#takeAway(join(this.#models, id)))
  }

  async #takeAway(path: string): Promise<void> {
    const taken = this.#staging.place()
    try {
      await rename(path, taken.path)
      await syncFolder(this.#models)
    } catch (error) {
      // Another service was faster; but where there are no models at all, nothing was removed.
      if (codeOf(error) !== 'ENOENT') throw error
      await stat(this.#models)
    } finally {
      await taken.discard()
    }
  }

  async #readFact<F extends keyof Facts>(id: string, fact: F): Promise<Facts[F]> {
    const text = await textOf(join(this.#models, id, `${fact}.json`))
    return text === undefined ? (undefined as Facts[F]) : (JSON.parse(text) as Facts[F])
  }
}
