import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  codeOf,
  createDurably,
  moveDurably,
  syncFolder,
  textOf,
  unlinkDurably,
  writeDurably,
} from './files.ts'
import { isId } from './names.ts'
import type { Staging } from './staging.ts'
import { stored } from './storage.ts'

/**
 * Names as files that hold the id they stand for, whether there is such a model or not; any number of services share
 * them. Every change is one rename or one link.
 */
export class NameFiles {
  readonly #folder: string
  readonly #staging: Staging
  readonly #isModel: (id: string) => Promise<boolean>
  readonly #known = new Map<string, { readonly stamp: string; readonly id: string }>()

  constructor(folder: string, staging: Staging, isModel: (id: string) => Promise<boolean>) {
    this.#folder = folder
    this.#staging = staging
    this.#isModel = isModel
  }

  /** Keeps a name, unless it is taken by another model that is there: gives the id it stands for then. */
  create(name: string, id: string): Promise<string> {
    return stored(async () => {
      const path = join(this.#folder, name)
      for (;;) {
        if (await createDurably(path, id, this.#staging.path)) return id
        const owner = (await textOf(path))?.trim()
        if (owner === undefined) continue
        if (owner === id || (isId(owner) && (await this.#isModel(owner)))) return owner
        // What it stood for is gone, or it was written by half.
        await writeDurably(path, id, this.#staging.path)
        return id
      }
    })
  }

  /** Creates a name or moves it; of several at once, the last one wins. */
  save(name: string, id: string): Promise<void> {
    return stored(() => writeDurably(join(this.#folder, name), id, this.#staging.path))
  }

  /** Removes a name, if given only where it stands for this model. Says whether it was there. */
  remove(name: string, id?: string): Promise<boolean> {
    return stored(async () => {
      const path = join(this.#folder, name)
      if (id === undefined) return unlinkDurably(path)
      // Another service may move it meanwhile: so it is taken first and looked at then.
      const taken = this.#staging.place()
      try {
        await moveDurably(path, taken.path)
        const owner = (await textOf(taken.path))?.trim() ?? ''
        if (owner !== id) await createDurably(path, owner, this.#staging.path)
        await syncFolder(this.#folder)
        return owner === id
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return false
        throw error
      } finally {
        await taken.discard()
      }
    })
  }

  /** All names. One that has changed since it was last read has another time, or is another file. */
  async read(): Promise<Map<string, string>> {
    const names = new Map<string, string>()
    const found = await readdir(this.#folder)
    for (const name of found) {
      const path = join(this.#folder, name)
      try {
        const { mtimeNs, ino } = await stat(path, { bigint: true })
        const stamp = `${String(mtimeNs)}.${String(ino)}`
        const known = this.#known.get(name)
        const id = known?.stamp === stamp ? known.id : (await readFile(path, 'utf8')).trim()
        this.#known.set(name, { stamp, id })
        if (isId(id)) names.set(name, id)
      } catch (error) {
        // It has just gone, or is none of ours.
        if (!['ENOENT', 'EISDIR'].includes(codeOf(error) ?? '')) throw error
      }
    }
    for (const name of this.#known.keys()) if (!names.has(name)) this.#known.delete(name)
    return names
  }
}
