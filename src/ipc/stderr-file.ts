import { randomUUID } from 'node:crypto'
import { closeSync, ftruncateSync, openSync, readSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'

/** Memory where there is such a folder, else the disk. */
const FOLDERS = ['/dev/shm', tmpdir()]
const FORWARD_MS = 1000
const PART_BYTES = 2 ** 16
const MAX_BYTES = 2 ** 20

/**
 * A file without a name for what children write to stderr: they see from its size whether a library has written anything.
 * This process forwards its text to its own stderr, within a second. Whoever opens it closes it.
 */
export class StderrFile {
  readonly fd: number
  readonly #timer: NodeJS.Timeout
  readonly #part = Buffer.allocUnsafe(PART_BYTES)
  #forwarded = 0

  private constructor(fd: number) {
    this.fd = fd
    this.#timer = setInterval(() => {
      this.forward()
    }, FORWARD_MS).unref()
  }

  /** Throws where no folder takes a file. */
  static open(folders: readonly string[] = FOLDERS): StderrFile {
    const failures: unknown[] = []
    for (const folder of folders) {
      const path = `${folder}/resinit-${randomUUID()}`
      try {
        // Appending: every child writes behind what is there, also after the file was emptied.
        const fd = openSync(path, 'ax+', 0o600)
        unlinkSync(path)
        return new StderrFile(fd)
      } catch (error) {
        failures.push(error)
      }
    }
    throw new AggregateError(failures, `no file can be made in ${folders.join(' or ')}`)
  }

  /** Writes what is new to this process's stderr. */
  forward(): void {
    for (;;) {
      const length = readSync(this.fd, this.#part, 0, PART_BYTES, this.#forwarded)
      if (length === 0) break
      this.#forwarded += length
      process.stderr.write(Buffer.from(this.#part.subarray(0, length)))
    }
    if (this.#forwarded < MAX_BYTES) return
    ftruncateSync(this.fd)
    this.#forwarded = 0
  }

  close(): void {
    clearInterval(this.#timer)
    this.forward()
    closeSync(this.fd)
  }
}
