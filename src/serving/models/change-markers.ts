import { randomUUID } from 'node:crypto'
import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoCode, makeFolder } from './files.ts'

/** How long an announcement stays, and how long a service may not have looked without having missed one. */
const KEPT_MS = 10_000
const MISSED_MS = 4_000
/** Whoever looks waits for the removals. */
const REMOVED_AT_ONCE = 32
/** `<anything>.<what changed>`. */
const ANNOUNCEMENT = /^[0-9a-f-]{36}\.(.+)$/

/**
 * Tells the other services on the folder which names and models have changed: an empty file for each change, made after
 * it and before the client is answered. So others read again what changed, and not everything. Every service removes what
 * it has known for long enough, by its own clock.
 */
export class Changes {
  readonly #folder: string
  readonly #now: () => number
  /** Announcements that were read or made here, and since when. */
  readonly #known = new Map<string, number>()
  #readAt = -Infinity

  /** `now` is a clock in ms that never jumps. */
  constructor(folder: string, now = () => performance.now()) {
    this.#folder = folder
    this.#now = now
  }

  /** To be called when the change is made. Where it cannot be told, others find it by the times of the folders. */
  async announce(what: string): Promise<void> {
    const name = `${randomUUID()}.${what}`
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

  /** What others announced since the last call; undefined where it cannot be known, so that all has to be read. */
  async read(): Promise<ReadonlySet<string> | undefined> {
    const now = this.#now()
    const missed = now - this.#readAt > MISSED_MS
    const found = await this.#list()
    if (found === undefined) return undefined
    this.#readAt = now
    const changed = new Set<string>()
    for (const name of found) {
      if (this.#known.has(name)) continue
      this.#known.set(name, now)
      const what = ANNOUNCEMENT.exec(name)?.[1]
      if (what !== undefined) changed.add(what)
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
    const old = [...this.#known].filter(([, since]) => now - since > KEPT_MS).map(([name]) => name)
    for (const name of old.slice(0, REMOVED_AT_ONCE)) {
      this.#known.delete(name)
      // What cannot be removed is known again from the next time on.
      if (found.has(name))
        await rm(join(this.#folder, name), { recursive: true, force: true }).catch(() => undefined)
    }
  }
}
