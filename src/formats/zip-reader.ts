import type { FileHandle } from 'node:fs/promises'
import { RandomAccessReader } from 'yauzl'
import { damagedZip } from './zip-errors.ts'

const BLOCK_BYTES = 65_536

/** Reads for yauzl. Its own reader throws outside of any promise if the archive names a position beyond 2^53. */
export class ZipReader extends RandomAccessReader {
  readonly #file: FileHandle
  readonly #size: number
  /** The block that was read last: the records of the central directory are small and adjacent. */
  #block: Buffer = Buffer.alloc(0)
  #blockStart = 0

  constructor(file: FileHandle, size: number) {
    super()
    this.#file = file
    this.#size = size
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null) => void,
  ): void {
    this.#copy(buffer.subarray(offset, offset + length), position).then(
      () => {
        callback(null)
      },
      (error: unknown) => {
        callback(error instanceof Error ? error : new Error(String(error)))
      },
    )
  }

  async #copy(target: Buffer, position: number): Promise<void> {
    const isInBlock = () =>
      position >= this.#blockStart && position + target.length <= this.#blockStart + this.#block.length
    if (!isInBlock()) {
      const length = Math.min(Math.max(BLOCK_BYTES, target.length), this.#size - position)
      this.#block = await this.readPart(position, Math.max(length, target.length))
      this.#blockStart = position
    }
    this.#block.copy(target, 0, position - this.#blockStart)
  }

  /** Reads into a separate buffer, which aligns float32 views. */
  async readPart(position: number, length: number): Promise<Buffer> {
    if (!(position >= 0 && position + length <= this.#size)) throw damagedZip('the file ends too early')
    const buffer = Buffer.from(new ArrayBuffer(length))
    let done = 0
    while (done < length) {
      const { bytesRead } = await this.#file.read(buffer, done, length - done, position + done)
      if (bytesRead === 0) throw damagedZip('the file ends too early')
      done += bytesRead
    }
    return buffer
  }
}
