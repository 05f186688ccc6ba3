import { RandomAccessReader } from 'yauzl'
import type { RegularFile } from './regular-file.ts'
import { damagedZip } from './zip-errors.ts'

const BLOCK_BYTES = 4096

/** Reads for yauzl. Its own reader throws outside of any promise if the archive names a position beyond 2^53. */
export class ZipReader extends RandomAccessReader {
  readonly #file: RegularFile
  /** The block that was read last: the records of the central directory are small and adjacent. */
  #block: Buffer = Buffer.alloc(0)
  #blockStart = 0

  constructor(file: RegularFile) {
    super()
    this.#file = file
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
      const length = Math.min(Math.max(BLOCK_BYTES, target.length), this.#file.size - position)
      this.#block = await this.readPart(position, Math.max(length, target.length))
      this.#blockStart = position
    }
    this.#block.copy(target, 0, position - this.#blockStart)
  }

  /** Reads into a separate buffer, which aligns float32 views. */
  async readPart(position: number, length: number): Promise<Buffer> {
    if (!(position >= 0 && position + length <= this.#file.size)) throw damagedZip('the file ends too early')
    return this.#file.read(position, length)
  }
}
