import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Logger } from 'pino'
import { ServiceError } from '../errors.ts'
import type { LayerScale } from '../analysis/analysis.ts'
import type { Specification } from '../network/specification.ts'
import { isId } from './names.ts'
import { moveDurably, removeDurably, syncFolder, writeDurably } from './files.ts'

/** What is kept of a model: all it takes to build it again and to know that it is the same. */
export interface StoredModel {
  readonly id: string
  readonly specification: Specification
  readonly weights: 'initialized' | 'loaded'
  readonly created_at: string
  readonly seal: string | null
  readonly weights_sha256: string | null
  /** What LSUV measured, once: every build multiplies by the same factors. */
  readonly measured?: readonly LayerScale[]
}

/** A file or a folder that is not there for long; whoever asked for it keeps or discards it. */
export interface Staged {
  readonly path: string
  discard(): Promise<void>
}

/** Weights on their way in. */
export type StagedWeights = Staged

const RECORD = 'model.json'
const WEIGHTS = 'weights.safetensors'

/**
 * Models and names as files: `models/<id>/model.json` (with `weights.safetensors` where weights were loaded) and
 * `names/<name>`. A model is there when its record is; the record is written last and removed first. What an interrupted
 * write left behind is removed when the store is opened.
 */
export class Store {
  readonly #models: string
  readonly #names: string
  readonly #staging: string

  private constructor(folder: string) {
    this.#models = join(folder, 'models')
    this.#names = join(folder, 'names')
    this.#staging = join(folder, 'staging')
  }

  static async open(folder: string): Promise<Store> {
    const store = new Store(folder)
    await stored(async () => {
      await rm(store.#staging, { recursive: true, force: true })
      for (const path of [store.#models, store.#names, store.#staging]) await mkdir(path, { recursive: true })
      await syncFolder(folder)
    })
    return store
  }

  /** All models and names. What cannot be read is reported and left alone. */
  async load(logger: Logger): Promise<{ models: StoredModel[]; names: Map<string, string> }> {
    const models: StoredModel[] = []
    for (const id of await readdir(this.#models)) {
      const folder = join(this.#models, id)
      try {
        const record = JSON.parse(await readFile(join(folder, RECORD), 'utf8')) as StoredModel | null
        if (record?.id !== id) throw new TypeError('it is not the record of this model')
        models.push(record)
      } catch (error) {
        // Only what this service began and did not end; any other folder is not its own.
        if (isId(id) && (error as NodeJS.ErrnoException).code === 'ENOENT')
          await rm(folder, { recursive: true, force: true })
        else logger.error({ folder, err: error }, 'a stored model cannot be read and is left out')
      }
    }
    const known = new Set(models.map(({ id }) => id))
    const names = new Map<string, string>()
    for (const name of await readdir(this.#names)) {
      if (name.endsWith('.tmp')) {
        await rm(join(this.#names, name), { force: true })
        continue
      }
      try {
        const id = (await readFile(join(this.#names, name), 'utf8')).trim()
        if (known.has(id)) names.set(name, id)
      } catch (error) {
        logger.error({ name, err: error }, 'a stored name cannot be read and is left out')
      }
    }
    return { models, names }
  }

  weightsFile(id: string): string {
    return join(this.#models, id, WEIGHTS)
  }

  /** Writes a stream to disk, to be checked before it is kept. */
  async stage(source: Readable): Promise<StagedWeights> {
    const path = join(this.#staging, `${randomUUID()}.safetensors`)
    const staged = { path, discard: () => rm(path, { force: true }) }
    try {
      await pipeline(source, createWriteStream(path, { flush: true }))
    } catch (error) {
      await staged.discard().catch(() => undefined)
      // Only the file's side makes system calls; any other failure is the source's own.
      throw (error as NodeJS.ErrnoException).syscall === undefined ? error : storageFailed(error)
    }
    return staged
  }

  /** A folder for what is written only to be sent. A writer that is told too late may still be at it when it goes. */
  async stageFolder(): Promise<Staged> {
    const path = join(this.#staging, randomUUID())
    await stored(() => mkdir(path))
    return { path, discard: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) }
  }

  /** Keeps a model's record, and weights that were staged for it. */
  async save(model: StoredModel, weights?: StagedWeights): Promise<void> {
    await stored(async () => {
      const folder = join(this.#models, model.id)
      if ((await mkdir(folder, { recursive: true })) !== undefined) await syncFolder(this.#models)
      if (weights) await moveDurably(weights.path, this.weightsFile(model.id))
      await writeDurably(join(folder, RECORD), JSON.stringify(model))
    })
  }

  async remove(id: string): Promise<void> {
    await stored(async () => {
      await removeDurably(join(this.#models, id, RECORD))
      await removeDurably(join(this.#models, id))
    })
  }

  async saveName(name: string, id: string): Promise<void> {
    await stored(() => writeDurably(join(this.#names, name), id))
  }

  async removeName(name: string): Promise<void> {
    await stored(() => removeDurably(join(this.#names, name)))
  }
}

async function stored<R>(write: () => Promise<R>): Promise<R> {
  try {
    return await write()
  } catch (error) {
    throw storageFailed(error)
  }
}

function storageFailed(cause: unknown): ServiceError {
  const { code } = cause as NodeJS.ErrnoException
  const reason = code === 'ENOSPC' ? 'its disk is full' : (code ?? 'unknown cause')
  return new ServiceError('STORAGE_FAILED', `the data folder could not be written: ${reason}`, { cause })
}
