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
import { changeStore } from './store-change.ts'

/** An id has 64 bytes; a file written by hand may end with a line break. */
const MAX_NAME_BYTES = 1024

export interface NameFilesOptions {
  readonly folder: string
  readonly staging: Staging
  readonly bad: BadEntries
  readonly isModel: (id: string) => Promise<boolean>
  /** Called after a change of a name by this service. */
  readonly changed: (name: string) => Promise<void>
}

/**
 * Names as files that contain the id of their model, even if the model does not exist. Several services can share them:
 * every change is one rename or one link.
 */
export class NameFiles {
  readonly #options: NameFilesOptions
  readonly #known = new Map<string, { readonly stamp: string; readonly id: string | undefined }>()

  constructor(options: NameFilesOptions) {
    this.#options = options
  }

  /** Creates a name unless it belongs to another existing model. Returns the id that the name has then. */
  create(name: string, id: string): Promise<string> {
    return this.#change(name, async (path) => {
      await makeFolder(this.#options.folder)
      for (;;) {
        if (await createDurably(path, id, this.#options.staging.path)) return id
        const owner = await this.#readOwner(path)
        if (owner === 'none') continue
        if (owner === id || (isId(owner) && (await this.#options.isModel(owner)))) return owner
        // The model was deleted, or the file contains no id.
        await this.#replace(path, id)
        return id
      }
    })
  }

  /** Creates or moves a name. Last writer wins. */
  save(name: string, id: string): Promise<void> {
    return this.#change(name, async (path) => {
      await makeFolder(this.#options.folder)
      await this.#replace(path, id)
    })
  }

  /** Removes a name; with `id` only if it belongs to this model. Returns false if it was not removed. */
  remove(name: string, id?: string): Promise<boolean> {
    return this.#change(name, async (path) => {
      if (id === undefined) return unlinkDurably(path)
      const { folder, staging } = this.#options
      // Another service may move the name at any time: move the file away first, then read it.
      const removed = staging.createTemp()
      try {
        await moveDurably(path, removed.path)
        const owner = await this.#readOwner(removed.path)
        if (owner !== id && isId(owner)) await createDurably(path, owner, staging.path)
        await syncFolder(folder)
        return owner === id
      } catch (error) {
        if (errnoCode(error) === 'ENOENT') return false
        throw error
      } finally {
        await removed.discard()
      }
    })
  }

  /** Lists the names. Reports entries that cannot be names. */
  async list(): Promise<string[]> {
    const { folder, bad } = this.#options
    const found = await readdir(folder)
    bad.retain('names', found)
    for (const entry of found.filter((one) => !isName(one) && !isRemovedFile(one)))
      bad.report(`names/${entry}`, 'it is not a valid name')
    return found.filter(isName)
  }

  /** Reads the id of a name. A changed file has another time or inode. */
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
      if (id === undefined) bad.report(entry, 'it contains no id')
      else bad.clear(entry)
      return id
    } catch (error) {
      this.#known.delete(name)
      if (errnoCode(error) === 'ENOENT') bad.clear(entry)
      else bad.report(entry, error)
      return undefined
    }
  }

  #change<R>(name: string, change: (path: string) => Promise<R>): Promise<R> {
    const { folder, staging, changed } = this.#options
    return changeStore(async () => {
      await staging.ensure()
      const result = await change(join(folder, name))
      await changed(name)
      return result
    })
  }

  /** Writes a name in place of the present entry. */
  async #replace(path: string, id: string): Promise<void> {
    const { staging } = this.#options
    try {
      await writeDurably(path, id, staging.path)
    } catch (error) {
      // A file cannot replace a folder.
      if (errnoCode(error) !== 'EISDIR' && errnoCode(error) !== 'EEXIST') throw error
      const removed = staging.createTemp()
      await rename(path, removed.path)
      await removed.discard()
      await writeDurably(path, id, staging.path)
    }
  }

  /** Reads the id in a file; 'none' if there is no file, '' if the file is unusable. */
  async #readOwner(path: string): Promise<string> {
    try {
      return (await readText(path, MAX_NAME_BYTES))?.trim() ?? 'none'
    } catch (error) {
      if (error instanceof UnusableFile) return ''
      throw error
    }
  }
}
