import { invalidWeights } from '../../common/errors.ts'
import { damagedPytorch } from './errors.ts'

/** Longer texts occur in no checkpoint. */
const MAX_TEXT_BYTES = 1_048_576
const MAX_LINE_BYTES = 256

/** Reads the arguments of opcodes from a pickle. Lengths are checked before use. */
export class PickleBytes {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  uint8(): number {
    return this.#bytes.readUInt8(this.#skip(1))
  }

  uint16(): number {
    return this.#bytes.readUInt16LE(this.#skip(2))
  }

  uint32(): number {
    return this.#bytes.readUInt32LE(this.#skip(4))
  }

  int32(): number {
    return this.#bytes.readInt32LE(this.#skip(4))
  }

  /** A length of 8 bytes, rounded: any bytes above 2^53 exceed the file. */
  uint64(): number {
    return Number(this.#bytes.readBigUInt64LE(this.#skip(8)))
  }

  float64(): number {
    return this.#bytes.readDoubleBE(this.#skip(8))
  }

  /** A signed integer of `length` bytes; a number if it is a safe integer. */
  long(length: number): number | bigint {
    if (length === 0) return 0
    const digits = Buffer.from(this.#bytes.subarray(this.#skip(length), this.#at)).reverse()
    const value = BigInt.asIntN(8 * length, BigInt(`0x${digits.toString('hex')}`))
    return Number.isSafeInteger(Number(value)) ? Number(value) : value
  }

  text(length: number): string {
    if (length > MAX_TEXT_BYTES)
      throw invalidWeights(
        `holds a text of ${String(length)} bytes; at most ${String(MAX_TEXT_BYTES)} are supported`,
      )
    return this.#bytes.toString('utf8', this.#skip(length), this.#at)
  }

  /** One of the two lines that name a class. */
  line(): string {
    const end = this.#bytes.subarray(this.#at, this.#at + MAX_LINE_BYTES).indexOf('\n')
    if (end < 0) throw damagedPytorch('its pickle has a class without a name')
    const text = this.#bytes.toString('utf8', this.#at, this.#at + end)
    this.#skip(end + 1)
    return text
  }

  includes(text: string): boolean {
    return this.#bytes.includes(text)
  }

  skip(length: number): void {
    this.#skip(length)
  }

  /** Checks that a frame fits; its content follows. */
  frame(): void {
    if (this.uint64() > this.#bytes.length - this.#at) throw endsEarly()
  }

  /** The position before the bytes that are skipped. */
  #skip(length: number): number {
    const start = this.#at
    if (length > this.#bytes.length - start) throw endsEarly()
    this.#at = start + length
    return start
  }
}

function endsEarly() {
  return damagedPytorch('its pickle ends too early')
}
