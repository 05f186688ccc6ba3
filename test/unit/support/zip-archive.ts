import { deflateRawSync } from 'node:zlib'

/** An entry to write. The other fields override those of a correct archive. */
export interface WrittenEntry {
  readonly name: string
  readonly bytes: Uint8Array
  readonly isDeflated?: boolean
  readonly flags?: number
  readonly method?: number
  readonly size?: number
  readonly compressedSize?: number
  readonly headerOffset?: number
  readonly localName?: string
  /** The extra field of the central directory. */
  readonly extra?: Uint8Array
}

const MAX_UINT32 = 0xffffffff

/** Writes a zip archive (APPNOTE.TXT), also a damaged one. `entryCount` overrides the number of entries. */
export function zipArchive(entries: readonly WrittenEntry[], entryCount = entries.length): Buffer {
  const locals: Buffer[] = []
  const central: Buffer[] = []
  let offset = 0
  for (const entry of entries) {
    const { name, bytes, isDeflated = false, flags = 0, localName = name, extra = Buffer.alloc(0) } = entry
    const data = isDeflated ? deflateRawSync(bytes) : bytes
    const { method = isDeflated ? 8 : 0, size = bytes.length, compressedSize = data.length } = entry
    const common = [...uint16(20, flags, method, 0, 0), ...uint32(0, compressedSize, size)]
    const local = [...uint32(0x04034b50), ...common, ...uint16(Buffer.byteLength(localName), 0)]
    locals.push(Buffer.concat([Buffer.from(local), Buffer.from(localName), data]))
    const lengths = uint16(Buffer.byteLength(name), extra.length, 0, 0, 0)
    const header = [...uint32(0x02014b50), ...uint16(20), ...common, ...lengths]
    const place = uint32(0, entry.headerOffset ?? offset)
    central.push(Buffer.concat([Buffer.from([...header, ...place]), Buffer.from(name), extra]))
    offset += locals.at(-1)?.length ?? 0
  }
  const directory = Buffer.concat(central)
  const counts = uint16(0, 0, entryCount, entryCount)
  const end = [...uint32(0x06054b50), ...counts, ...uint32(directory.length, offset), ...uint16(0)]
  return Buffer.concat([...locals, directory, Buffer.from(end)])
}

/** A zip64 extra field, for sizes and offsets that are MAX_UINT32 in the header. */
export function zip64Extra(...values: readonly bigint[]): Buffer {
  const extra = Buffer.alloc(4 + 8 * values.length)
  extra.writeUInt16LE(1)
  extra.writeUInt16LE(8 * values.length, 2)
  values.forEach((value, index) => extra.writeBigUInt64LE(value, 4 + 8 * index))
  return extra
}

/** An archive whose end names a zip64 directory. */
export function zip64End(entryCount: bigint, directoryOffset: bigint, recordOffset?: bigint): Buffer {
  const record = Buffer.alloc(56)
  record.writeUInt32LE(0x06064b50)
  record.writeBigUInt64LE(44n, 4)
  record.writeBigUInt64LE(entryCount, 24)
  record.writeBigUInt64LE(entryCount, 32)
  record.writeBigUInt64LE(directoryOffset, 48)
  const locator = Buffer.alloc(20)
  locator.writeUInt32LE(0x07064b50)
  locator.writeBigUInt64LE(recordOffset ?? 0n, 8)
  const full = [...uint32(0x06054b50), ...uint16(0, 0, 0xffff, 0xffff), ...uint32(MAX_UINT32, MAX_UINT32)]
  return Buffer.concat([record, locator, Buffer.from([...full, ...uint16(0)])])
}

function uint16(...values: readonly number[]): number[] {
  return values.flatMap((value) => [value & 255, (value >>> 8) & 255])
}

function uint32(...values: readonly number[]): number[] {
  return values.flatMap((value) => uint16(value & 0xffff, value >>> 16))
}
