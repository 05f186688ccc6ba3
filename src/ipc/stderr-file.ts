import { randomUUID } from 'node:crypto'
import { closeSync, ftruncateSync, openSync, readSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'

/** In memory if the system has such a folder, otherwise on disk. */
const FOLDERS = ['/dev/shm', tmpdir()]
const FORWARD_MS = 1000
const PART_BYTES = 2 ** 16
const MAX_BYTES = 2 ** 20

/**
 * An unlinked file that receives the children's stderr: its size shows a child whether a library has written a message.
 * This process forwards the text to its own stderr within a second. The caller closes it.
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

  /** Throws if no folder accepts a file. */
  static open(folders: readonly string[] = FOLDERS): StderrFile {
    const failures: unknown[] = []
    for (const folder of folders) {
      const path = `${folder}/resinit-${randomUUID()}`
      try {
        // Append mode: every child writes at the end, also after the file was truncated.
        const fd = openSync(path, 'ax+', 0o600)
        unlinkSync(path)
        return new StderrFile(fd)
      } catch (error) {
        failures.push(error)
      }
    }
    throw new AggregateError(failures, `cannot create a file in ${folders.join(' or ')}`)
  }

  /** Writes new text to this process's stderr. */
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
