import { readdir, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { BadEntries } from './bad-entries.ts'
import {
  errnoCode,
  createDurably,
  makeFolder,
  moveDurably,
  readText,
  syncFolder,
  unlinkDurably,
  writeDurably,
} from './files.ts'
import { UnusableFile } from '../../common/storage-errors.ts'
import { isId, isName, isRemovedFile } from './names.ts'
import type { Staging } from './staging.ts'
import { stored } from './store-change.ts'

/** An id is 64 bytes; whoever writes a name by hand may end it with a line break. */
const MAX_NAME_BYTES = 1024

export interface NameFilesOptions {
  readonly folder: string
  readonly staging: Staging
  readonly bad: BadEntries
  readonly isModel: (id: string) => Promise<boolean>
  /** Called when a name has been changed here. */
  readonly changed: (name: string) => Promise<void>
}

/**
 * Names as files that hold the id they stand for, whether there is such a model or not; any number of services share
 * them. Every change is one rename or one link.
 */
export class NameFiles {
  readonly #options: NameFilesOptions
  readonly #known = new Map<string, { readonly stamp: string; readonly id: string | undefined }>()

  constructor(options: NameFilesOptions) {
    this.#options = options
  }

  /** Keeps a name, unless it is taken by another model that is there: gives the id it stands for then. */
  create(name: string, id: string): Promise<string> {
    return this.#changing(name, async (path) => {
      await makeFolder(this.#options.folder)
      for (;;) {
        if (await createDurably(path, id, this.#options.staging.path)) return id
        const owner = await this.#ownerOf(path)
        if (owner === 'none') continue
        if (owner === id || (isId(owner) && (await this.#options.isModel(owner)))) return owner
        // The model is gone, or the file is no name.
        await this.#replace(path, id)
        return id
      }
    })
  }

  /** Creates a name or moves it; of several at once, the last one wins. */
  save(name: string, id: string): Promise<void> {
    return this.#changing(name, async (path) => {
      await makeFolder(this.#options.folder)
      await this.#replace(path, id)
    })
  }

  /** Removes a name, if given only where it stands for this model. Says whether it was there. */
  remove(name: string, id?: string): Promise<boolean> {
    return this.#changing(name, async (path) => {
      if (id === undefined) return unlinkDurably(path)
      const { folder, staging } = this.#options
      // Another service may move it meanwhile: so it is taken first and looked at then.
      const taken = staging.createTemp()
      try {
        await moveDurably(path, taken.path)
        const owner = await this.#ownerOf(taken.path)
        if (owner !== id && isId(owner)) await createDurably(path, owner, staging.path)
        await syncFolder(folder)
        return owner === id
      } catch (error) {
        if (errnoCode(error) === 'ENOENT') return false
        throw error
      } finally {
        await taken.discard()
      }
    })
  }

  /** What names there may be; what can be none is reported. */
  async list(): Promise<string[]> {
    const { folder, bad } = this.#options
    const found = await readdir(folder)
    bad.retain('names', found)
    for (const other of found.filter((one) => !isName(one) && !isRemovedFile(one)))
      bad.report(`names/${other}`, 'it is not called as a name may be')
    return found.filter(isName)
  }

  /** The id that a name stands for now. One that has changed since it was last read has another time, or is another file. */
  async read(name: string): Promise<string | undefined> {
    const { folder, bad } = this.#options
    const entry = `names/${name}`
    const path = join(folder, name)
    try {
      const { mtimeNs, ctimeNs, ino } = await stat(path, { bigint: true })
      const stamp = [mtimeNs, ctimeNs, ino].join('.')
      const known = this.#known.get(name)
      if (known?.stamp === stamp) return known.id
      const text = (await readText(path, MAX_NAME_BYTES))?.trim()
      const id = text !== undefined && isId(text) ? text : undefined
      this.#known.set(name, { stamp, id })
      if (id === undefined) bad.report(entry, 'it holds no id')
      else bad.clear(entry)
      return id
    } catch (error) {
      this.#known.delete(name)
      if (errnoCode(error) === 'ENOENT') bad.clear(entry)
      else bad.report(entry, error)
      return undefined
    }
  }

  #changing<R>(name: string, change: (path: string) => Promise<R>): Promise<R> {
    const { folder, staging, changed } = this.#options
    return stored(async () => {
      await staging.ensure()
      const result = await change(join(folder, name))
      await changed(name)
      return result
    })
  }

  /** Writes a name in the place of whatever lies there. */
  async #replace(path: string, id: string): Promise<void> {
    const { staging } = this.#options
    try {
      await writeDurably(path, id, staging.path)
    } catch (error) {
      // No file takes the place of a folder.
      if (errnoCode(error) !== 'EISDIR' && errnoCode(error) !== 'EEXIST') throw error
      const taken = staging.createTemp()
      await rename(path, taken.path)
      await taken.discard()
      await writeDurably(path, id, staging.path)
    }
  }

  /** What a file says that it stands for; 'none' where there is no file, and '' where it can be no name. */
  async #ownerOf(path: string): Promise<string> {
    try {
      return (await readText(path, MAX_NAME_BYTES))?.trim() ?? 'none'
    } catch (error) {
      if (error instanceof UnusableFile) return ''
      throw error
    }
  }
}
