import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { lstat, readdir, readFile, readlink, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { BadEntries } from './bad-entries.ts'
import { errnoCode, makeFolder } from './files.ts'

/** A file or a folder that is not there for long; whoever asked for it keeps or discards it. */
export interface TempPath {
  readonly path: string
  discard(): Promise<void>
}

/** How often a service shows that it lives, and after how long without a sign its folder is nobody's. */
const SIGN_MS = 15_000
const ABANDONED_MS = 300_000
/** `<process table>.<pid>.<start>.<anything>`. */
const OWNER = /^([0-9a-f-]+)\.(\d+)\.(\d+)\.[0-9a-f-]+$/

/**
 * What is on its way into the data folder, or out of it. Every service on it has a folder of its own in there, named after
 * its process, so that another that starts can tell what was left behind from what is in use: by asking for the process
 * where it is one of the same machine, else by the sign of life it gives. Signs are only compared with themselves, by the
 * time of the one who looks: clocks may differ, and jump.
 */
export class Staging {
  readonly path: string
  readonly #all: string
  readonly #table: string
  /** Other services' signs: the last one seen, and when it was new. */
  readonly #signs = new Map<string, { readonly sign: bigint; readonly since: number }>()
  readonly #now: () => number
  readonly #bad: BadEntries
  #signedAt = -Infinity

  private constructor(all: string, table: string, own: string, now: () => number, bad: BadEntries) {
    this.#all = all
    this.#table = table
    this.path = join(all, own)
    this.#now = now
    this.#bad = bad
  }

  /** `now` is a clock in ms that never jumps. */
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

  /** Makes this service's folder where somebody has removed it, the folder above it included. */
  async ensure(): Promise<void> {
    try {
      await stat(this.path)
    } catch (error) {
      if (errnoCode(error) !== 'ENOENT') throw error
      await makeFolder(this.path)
    }
  }

  /** Shows that this service lives, and removes what others left behind. To be called every now and then. */
  async heartbeat(): Promise<void> {
    if (this.#now() - this.#signedAt < SIGN_MS) return
    this.#signedAt = this.#now()
    const sign = new Date()
    try {
      // Somebody may have taken this service for dead.
      await this.ensure()
      await utimes(this.path, sign, sign)
      await this.#sweep()
      this.#bad.clear('staging')
    } catch (error) {
      this.#bad.report('staging', error)
    }
  }

  /** A place for a file or folder of its own. */
  createTemp(suffix = ''): TempPath {
    const path = join(this.path, `${randomUUID()}${suffix}`)
    // A writer that is told too late may still be at it when it goes.
    return { path, discard: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) }
  }

  /** Writes a stream to disk, to be checked before it is kept. */
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
    // No service that stages here names anything so.
    if (table === undefined) return true
    if (table === this.#table) return (await processStart(Number(pid))) !== start
    let sign: bigint
    try {
      sign = (await lstat(path, { bigint: true })).mtimeNs
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return false
      throw error
    }
    const seen = this.#signs.get(name)
    if (seen?.sign === sign) return this.#now() - seen.since > ABANDONED_MS
    this.#signs.set(name, { sign, since: this.#now() })
    return false
  }
}

/** What the pids of this process count in: this boot of this machine, and its container. */
async function processTable(): Promise<string> {
  try {
    const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
    return `${boot}-${(await readlink('/proc/self/ns/pid')).replace(/\D/g, '')}`
  } catch {
    // Nobody shares it, so only signs count.
    return randomUUID()
  }
}

/** When a process started, in ticks since the boot; undefined where there is none. */
async function processStart(pid: number): Promise<string | undefined> {
  try {
    const text = await readFile(`/proc/${String(pid)}/stat`, 'utf8')
    // After the command, which may hold anything, the third field is the state.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? undefined : fields[19]
  } catch {
    return undefined
  }
}
