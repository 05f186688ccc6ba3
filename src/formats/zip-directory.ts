import { quoteName, invalidWeights } from '../common/errors.ts'
import type { Entry, ZipFile } from 'yauzl'
import { damagedZip, inflatingZip } from './zip-errors.ts'

/** An entry per tensor and a few more; the limit of tensors in a safetensors file is the same. */
const MAX_ENTRIES = 10_100
/** Of a name or an extra field. */
const MAX_NAME_BYTES = 1024
/** Names, extra fields and comments of all entries. yauzl needs some 50 times the memory. */
const MAX_DIRECTORY_BYTES = 2_097_152
/** Compression that is not suspicious: any ratio up to MAX_SMALL_BYTES, MAX_RATIO above. */
const MAX_SMALL_BYTES = 1_048_576
const MAX_RATIO = 100
/** Of the sizes of all entries to the size of the file, beyond MAX_INFLATED_BYTES. */
const MAX_TOTAL_RATIO = 10
const MAX_INFLATED_BYTES = 67_108_864
const [STORED, DEFLATED] = [0, 8]
const LOCAL_HEADER_BYTES = 30

export async function listEntries(zip: ZipFile, fileBytes: number): Promise<Map<string, Entry>> {
  if (zip.entryCount > MAX_ENTRIES)
    throw invalidWeights(
      `is a zip archive of ${String(zip.entryCount)} entries; at most ${String(MAX_ENTRIES)} are supported`,
    )
  const entries = new Map<string, Entry>()
  let directoryBytes = 0
  let totalBytes = 0
  for await (const entry of zip.eachEntry()) {
    const { fileName: name, fileNameLength, extraFieldLength, fileCommentLength } = entry
    directoryBytes += fileNameLength + extraFieldLength + fileCommentLength
    if (Math.max(fileNameLength, extraFieldLength) > MAX_NAME_BYTES || directoryBytes > MAX_DIRECTORY_BYTES)
      throw damagedZip('the names of its entries are too long')
    if (entries.has(name)) throw damagedZip(`entry ${quoteName(name)} occurs twice`)
    checkEntry(name, entry, fileBytes)
    totalBytes += entry.uncompressedSize
    entries.set(name, entry)
  }
  if (totalBytes > MAX_INFLATED_BYTES && totalBytes > MAX_TOTAL_RATIO * fileBytes)
    throw inflatingZip(`its entries have ${String(totalBytes)} bytes, the file ${String(fileBytes)}`)
  return entries
}

function checkEntry(name: string, entry: Entry, fileBytes: number): void {
  const { compressionMethod, compressedSize, uncompressedSize } = entry
  if (entry.isEncrypted())
    throw invalidWeights(
      `is a zip archive whose entry ${quoteName(name)} is encrypted; send an archive without a password`,
    )
  if (compressionMethod !== STORED && compressionMethod !== DEFLATED)
    throw invalidWeights(
      `is a zip archive whose entry ${quoteName(name)} uses compression method ${String(compressionMethod)}; only ` +
        'stored and deflated entries are supported',
    )
  if (compressedSize > fileBytes) throw damagedZip(`entry ${quoteName(name)} is larger than the file`)
  if (uncompressedSize > MAX_SMALL_BYTES && uncompressedSize > MAX_RATIO * compressedSize)
    throw inflatingZip(
      `entry ${quoteName(name)} grows from ${String(compressedSize)} to ${String(uncompressedSize)} bytes`,
    )
}

/** The position at which each entry must have ended: the local header of the next one, or the end of the file. */
export function findEnds(entries: ReadonlyMap<string, Entry>, fileBytes: number): Map<string, number> {
  const sorted = [...entries].sort(
    ([, a], [, b]) => a.relativeOffsetOfLocalHeader - b.relativeOffsetOfLocalHeader,
  )
  return new Map(
    sorted.map(([name, entry], index) => {
      const end = sorted[index + 1]?.[1].relativeOffsetOfLocalHeader ?? fileBytes
      checkEnd(name, shortestEnd(entry), end)
      return [name, end]
    }),
  )
}

function shortestEnd(entry: Entry): number {
  return entry.relativeOffsetOfLocalHeader + LOCAL_HEADER_BYTES + entry.fileNameLength + entry.compressedSize
}

export function checkEnd(name: string, end: number, limit: number): void {
  if (end > limit) throw damagedZip(`entry ${quoteName(name)} overlaps another one or the end of the file`)
}

export function isStored(entry: Entry): boolean {
  return entry.compressionMethod === STORED
}
