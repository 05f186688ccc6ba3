import { randomUUID } from 'node:crypto'
import { closeSync, openSync, readSync, unlinkSync, writevSync } from 'node:fs'
import { kindOf, type ImageValues, type ShmSlot } from './contract.ts'

/** Where files are memory; elsewhere than on Linux there is none. */
const FOLDER = '/dev/shm'
/** As many as are with an engine at once: one that is computed, one that waits for that. */
const SLOTS = 2
/** Docker gives a container 64 MiB of it, and a second engine wants as much. Of larger batches copies are the least. */
const SLOT_BYTES = 8 * 2 ** 20

/**
 * Memory that a process shares with its engine's, for the images of batches. A channel takes 200 KB at once and the rest
 * when this process comes round to it, so that an engine that is free waits in the middle of a batch; and what comes
 * through it is copied into new memory at every step, for the collector to find. A file without a name: nothing of it
 * is left when both processes are gone. Whoever opens it closes it.
 */
export class SharedBatchBuffer {
  readonly fd: number
  readonly #free = Array.from({ length: SLOTS }, (_, slot) => slot)

  private constructor(fd: number) {
    this.fd = fd
  }

  /** Undefined where there is no such memory. */
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

  /** Undefined where there is no room. What is placed stays until it is freed. */
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

/** The engine's side of a `BatchMemory`. */
export class SharedBatchReader {
  readonly #fd: number
  #bytes = Buffer.alloc(0)

  constructor(fd: number) {
    this.#fd = fd
  }

  /** The images as they were placed. They are good until the next are read. */
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
