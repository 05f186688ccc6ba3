import { randomUUID } from 'node:crypto'
import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoCode, makeFolder } from './files.ts'

/** The lifetime of a marker, and the longest interval between two reads that misses none. */
const LIFETIME_MS = 10_000
const MAX_INTERVAL_MS = 4_000
/** The number of markers removed per read, which waits for the removals. */
const MAX_REMOVALS = 32
/** `<uuid>.<changed entry>`. */
const MARKER = /^[0-9a-f-]{36}\.(.+)$/

/**
 * Marker files that announce changes of names and models to the other services on the folder: one empty file per change,
 * created after the change and before the client's answer. Other services then read only the changed entries. Every
 * service removes the markers that it has known for longer than their lifetime, by its own clock.
 */
export class ChangeMarkers {
  readonly #folder: string
  readonly #now: () => number
  /** The markers that were read or created here, with the time of that. */
  readonly #known = new Map<string, number>()
  #readAt = -Infinity

  /** `now` is a monotonic clock in ms. */
  constructor(folder: string, now = () => performance.now()) {
    this.#folder = folder
    this.#now = now
  }

  /** Call it after a change. If the marker cannot be written, other services detect the change by modification times. */
  async announce(entry: string): Promise<void> {
    const name = `${randomUUID()}.${entry}`
    this.#known.set(name, this.#now())
    const write = (): Promise<void> => writeFile(join(this.#folder, name), '', { flag: 'wx' })
    try {
      await write().catch(async (error: unknown) => {
        if (errnoCode(error) !== 'ENOENT') throw error
        await makeFolder(this.#folder)
        await write()
      })
    } catch {
      this.#known.delete(name)
    }
  }

  /** The entries announced by other services since the last call; undefined if markers may have been missed. */
  async read(): Promise<ReadonlySet<string> | undefined> {
    const now = this.#now()
    const missed = now - this.#readAt > MAX_INTERVAL_MS
    const found = await this.#list()
    if (found === undefined) return undefined
    this.#readAt = now
    const changed = new Set<string>()
    for (const name of found) {
      if (this.#known.has(name)) continue
      this.#known.set(name, now)
      const entry = MARKER.exec(name)?.[1]
      if (entry !== undefined) changed.add(entry)
    }
    await this.#removeOld(new Set(found), now)
    return missed ? undefined : changed
  }

  async #list(): Promise<string[] | undefined> {
    try {
      return await readdir(this.#folder)
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') await makeFolder(this.#folder).catch(() => undefined)
      return undefined
    }
  }

  async #removeOld(found: ReadonlySet<string>, now: number): Promise<void> {
    const old = [...this.#known].filter(([, since]) => now - since > LIFETIME_MS).map(([name]) => name)
    for (const name of old.slice(0, MAX_REMOVALS)) {
      this.#known.delete(name)
      // A marker that cannot be removed is known again after the next read.
      if (found.has(name))
        await rm(join(this.#folder, name), { recursive: true, force: true }).catch(() => undefined)
    }
  }
}
