import { quoteName, invalidWeights } from '../common/errors.ts'
import { promisify } from 'node:util'
import { inflateRaw } from 'node:zlib'
import { fromRandomAccessReaderPromise, type Entry, type ZipFile } from 'yauzl'
import { checkEnd, findEnds, isStored, listEntries } from './zip-directory.ts'
import { damagedZip, describeErrors } from './zip-errors.ts'
import { openRegularFile } from './regular-file.ts'
import { ZipReader } from './zip-reader.ts'

export interface ZipEntry {
  readonly name: string
  /** Bytes after decompression. */
  readonly size: number
  readonly compressedSize: number
  /** True if the archive holds the bytes without compression: only such an entry can be read in parts. */
  readonly isStored: boolean
}

/** An opened zip archive. All functions throw INVALID_WEIGHTS at `#/weights` if the archive is damaged. */
export interface ZipArchive {
  /** By name, in the order of the central directory. */
  readonly entries: ReadonlyMap<string, ZipEntry>
  /** Reads `length` bytes of a stored entry from `offset`, into a buffer of its own. */
  read(entry: ZipEntry, offset: number, length: number): Promise<Buffer>
  /** Reads and, if necessary, inflates an entry of at most `maxBytes`. */
  readWhole(entry: ZipEntry, maxBytes: number): Promise<Buffer>
  close(): Promise<void>
}

const inflate = promisify(inflateRaw)

/**
 * Opens a zip archive (APPNOTE.TXT of PKWARE) and checks its central directory: number of entries, names, sizes,
 * compression ratios, encryption, duplicates, overlaps. The caller closes it.
 */
export async function openZip(path: string): Promise<ZipArchive> {
  const file = await openRegularFile(path, damagedZip)
  try {
    const { size } = file
    const reader = new ZipReader(file)
    const zip = await describeErrors(
      fromRandomAccessReaderPromise(reader, size, { autoClose: false, strictFileNames: true }),
    )
    const listed = await describeErrors(listEntries(zip, size))
    const ends = findEnds(listed, size)
    const dataStart = (name: string) => locateData(zip, listed.get(name), ends.get(name))
    return {
      entries: new Map([...listed].map(([name, entry]) => [name, describeEntry(name, entry)])),
      read: async (entry, offset, length) => {
        if (!entry.isStored)
          throw invalidWeights(
            `is a zip archive whose entry ${quoteName(entry.name)} is compressed; store it without compression, as ` +
              'torch.save and Keras do',
          )
        if (offset < 0 || length < 0 || offset + length > entry.size)
          throw damagedZip(`entry ${quoteName(entry.name)} ends too early`)
        return reader.readPart((await dataStart(entry.name)) + offset, length)
      },
      readWhole: async (entry, maxBytes) => {
        if (entry.size > maxBytes || entry.compressedSize > maxBytes)
          throw invalidWeights(
            `is a zip archive whose entry ${quoteName(entry.name)} has ${String(entry.size)} bytes; at most ` +
              `${String(maxBytes)} are supported`,
          )
        const bytes = await reader.readPart(await dataStart(entry.name), entry.compressedSize)
        return entry.isStored ? bytes : inflateEntry(entry, bytes)
      },
      close: () => file.close(),
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

/** The position of an entry's bytes, which only its local header tells. */
async function locateData(zip: ZipFile, entry: Entry | undefined, limit = 0): Promise<number> {
  if (entry === undefined) throw new RangeError('the entry belongs to another archive')
  const header = await describeErrors(zip.readLocalFileHeaderPromise(entry))
  checkEnd(entry.fileName, header.fileDataStart + entry.compressedSize, limit)
  if (header.compressionMethod !== entry.compressionMethod || !header.fileName.equals(entry.fileNameRaw))
    throw damagedZip(`the two headers of entry ${quoteName(entry.fileName)} differ`)
  return header.fileDataStart
}

async function inflateEntry(entry: ZipEntry, bytes: Buffer): Promise<Buffer> {
  try {
    const inflated = await inflate(bytes, { maxOutputLength: Math.max(1, entry.size) })
    if (inflated.length === entry.size) return inflated
  } catch (error) {
    if (!(error instanceof Error)) throw error
  }
  throw damagedZip(`entry ${quoteName(entry.name)} does not inflate to ${String(entry.size)} bytes`)
}

function describeEntry(name: string, entry: Entry): ZipEntry {
  const { uncompressedSize: size, compressedSize } = entry
  return { name, size, compressedSize, isStored: isStored(entry) }
}
