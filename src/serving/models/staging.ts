import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { lstat, readdir, readFile, readlink, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { BadEntries } from './bad-entries.ts'
import { errnoCode, makeFolder } from './files.ts'

/** A temporary file or folder. The caller keeps or discards it. */
export interface TempPath {
  readonly path: string
  discard(): Promise<void>
}

/** The interval of heartbeats, and the time without one after which a folder is abandoned. */
const HEARTBEAT_MS = 15_000
const ABANDONED_MS = 300_000
/** `<process table>.<pid>.<start time>.<uuid>`. */
const OWNER = /^([0-9a-f-]+)\.(\d+)\.(\d+)\.[0-9a-f-]+$/

/**
 * Temporary files for changes of the data folder. Every service has its own folder, named after its process, so another
 * service can detect and remove an abandoned one: by the process if it is on the same machine, otherwise by missing
 * heartbeats. A heartbeat is compared with the previous one only, on the reader's clock: clocks may differ and jump.
 */
export class Staging {
  readonly path: string
  readonly #all: string
  readonly #table: string
  /** The last heartbeat seen from each other service, and when it was first seen. */
  readonly #heartbeats = new Map<string, { readonly time: bigint; readonly since: number }>()
  readonly #now: () => number
  readonly #bad: BadEntries
  #heartbeatAt = -Infinity

  private constructor(all: string, table: string, own: string, now: () => number, bad: BadEntries) {
    this.#all = all
    this.#table = table
    this.path = join(all, own)
    this.#now = now
    this.#bad = bad
  }

  /** `now` is a monotonic clock in ms. */
  static async open(
    all: string,
    now = () => performance.now(),
    bad: BadEntries = new BadEntries(),
  ): Promise<Staging> {
    const table = await processTable()
    const start = await processStart(process.pid)
    const own = [table, process.pid, start ?? 0, randomUUID()].join('.')
    const staging = new Staging(all, table, own, now, bad)
    await staging.ensure()
    await staging.#sweep()
    return staging
  }

  /** Creates this service's folder and its parent if they were removed. */
  async ensure(): Promise<void> {
    try {
      await stat(this.path)
    } catch (error) {
      if (errnoCode(error) !== 'ENOENT') throw error
      await makeFolder(this.path)
    }
  }

  /** Sends a heartbeat, and removes abandoned folders. Call it regularly. */
  async heartbeat(): Promise<void> {
    if (this.#now() - this.#heartbeatAt < HEARTBEAT_MS) return
    this.#heartbeatAt = this.#now()
    const time = new Date()
    try {
      // Another service may have removed the folder as abandoned.
      await this.ensure()
      await utimes(this.path, time, time)
      await this.#sweep()
      this.#bad.clear('staging')
    } catch (error) {
      this.#bad.report('staging', error)
    }
  }

  /** Returns an unused path for a file or folder. */
  createTemp(suffix = ''): TempPath {
    const path = join(this.path, `${randomUUID()}${suffix}`)
    // Retries: a cancelled writer may still be writing to the folder.
    return { path, discard: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) }
  }

  /** Writes a stream to a temporary file. */
  async write(source: Readable): Promise<TempPath> {
    const staged = this.createTemp('.safetensors')
    try {
      await this.ensure()
      await pipeline(source, createWriteStream(staged.path, { flush: true }))
    } catch (error) {
      await staged.discard().catch(() => undefined)
      throw error
    }
    return staged
  }

  async close(): Promise<void> {
    await rm(this.path, { recursive: true, force: true, maxRetries: 5 })
  }

  async #sweep(): Promise<void> {
    const found = await readdir(this.#all)
    this.#bad.retain('staging', found)
    for (const name of found) {
      const path = join(this.#all, name)
      const entry = `staging/${name}`
      if (path === this.path) continue
      try {
        if (await this.#isAbandoned(name, path))
          await rm(path, { recursive: true, force: true, maxRetries: 5 })
        this.#bad.clear(entry)
      } catch (error) {
        this.#bad.report(entry, error)
      }
    }
  }

  async #isAbandoned(name: string, path: string): Promise<boolean> {
    const [, table, pid, start] = OWNER.exec(name) ?? []
    // Not the name of a service's folder.
    if (table === undefined) return true
    if (table === this.#table) return (await processStart(Number(pid))) !== start
    let time: bigint
    try {
      time = (await lstat(path, { bigint: true })).mtimeNs
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return false
      throw error
    }
    const seen = this.#heartbeats.get(name)
    if (seen?.time === time) return this.#now() - seen.since > ABANDONED_MS
    this.#heartbeats.set(name, { time, since: this.#now() })
    return false
  }
}

/** Identifies the pid namespace of this process: the boot of the machine, and the container. */
async function processTable(): Promise<string> {
  try {
    const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
    return `${boot}-${(await readlink('/proc/self/ns/pid')).replace(/\D/g, '')}`
  } catch {
    // A unique value: other services are judged by heartbeats only.
    return randomUUID()
  }
}

/** The start time of a process, in ticks since boot; undefined if there is no such process. */
async function processStart(pid: number): Promise<string | undefined> {
  try {
    const text = await readFile(`/proc/${String(pid)}/stat`, 'utf8')
    // The state follows the command, which may contain any character.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? undefined : fields[19]
  } catch {
    return undefined
  }
}
