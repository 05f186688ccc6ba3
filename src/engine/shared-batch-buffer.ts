import { randomUUID } from 'node:crypto'
import { closeSync, openSync, readSync, unlinkSync, writevSync } from 'node:fs'
import { kindOf, type ImageValues, type ShmSlot } from './contract.ts'

/** A directory in memory on Linux. Other systems have none. */
const FOLDER = '/dev/shm'
/** Batches that an engine has at once: one in computation and one that waits. */
const SLOTS = 2
/**
 * Docker's default /dev/shm has 64 MiB, and a second engine takes as much. For larger batches the cost of a copy is
 * negligible.
 */
const SLOT_BYTES = 8 * 2 ** 20

/**
 * Memory shared with an engine process, for the images of batches. A pipe transfers 200 KB at once and the rest
 * when this process returns to its event loop, which would leave a free engine idle in the middle of a batch; every
 * step also copies the data into new memory. The file has no name, so it disappears with the two processes. The
 * opener closes it.
 */
export class SharedBatchBuffer {
  readonly fd: number
  readonly #free = Array.from({ length: SLOTS }, (_, slot) => slot)

  private constructor(fd: number) {
    this.fd = fd
  }

  /** Returns undefined if the system has no such memory. */
  static open(folder = FOLDER): SharedBatchBuffer | undefined {
    const path = `${folder}/resinit-${randomUUID()}`
    try {
      const fd = openSync(path, 'wx+', 0o600)
      unlinkSync(path)
      return new SharedBatchBuffer(fd)
    } catch {
      return undefined
    }
  }

  /** Returns undefined if there is no free slot, or the images are too large. The slot is reserved until `free`. */
  write(values: ImageValues): ShmSlot | undefined {
    const parts = Array.isArray(values)
      ? (values as readonly Uint8Array[])
      : [values as Uint8Array | Float32Array]
    const lengths = parts.map(({ byteLength }) => byteLength)
    const bytes = lengths.reduce((sum, length) => sum + length, 0)
    const [slot] = this.#free
    if (slot === undefined || bytes > SLOT_BYTES) return undefined
    try {
      if (writevSync(this.fd, parts, slot * SLOT_BYTES) < bytes) return undefined
    } catch {
      return undefined
    }
    this.#free.shift()
    return { kind: kindOf(values), slot, lengths }
  }

  free({ slot }: ShmSlot): void {
    this.#free.push(slot)
  }

  close(): void {
    closeSync(this.fd)
  }
}

/** The engine's side of a `SharedBatchBuffer`. */
export class SharedBatchReader {
  readonly #fd: number
  #bytes = Buffer.alloc(0)

  constructor(fd: number) {
    this.#fd = fd
  }

  /** Reads the images of a slot. They are valid until the next call. */
  read({ kind, slot, lengths }: ShmSlot): ImageValues {
    const length = lengths.reduce((sum, part) => sum + part, 0)
    if (this.#bytes.length < length) this.#bytes = Buffer.allocUnsafeSlow(length)
    const read = readSync(this.#fd, this.#bytes, 0, length, slot * SLOT_BYTES)
    if (read < length) throw new Error(`the batch has ${String(read)} of ${String(length)} bytes`)
    const { buffer } = this.#bytes
    if (kind === 'pixels') return new Uint8Array(buffer, 0, length)
    if (kind === 'floats') return new Float32Array(buffer, 0, length / Float32Array.BYTES_PER_ELEMENT)
    let offset = 0
    return lengths.map((part) => {
      offset += part
      return new Uint8Array(buffer, offset - part, part)
    })
  }
}
