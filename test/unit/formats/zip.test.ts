import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openZip } from '../../../src/formats/zip.ts'
import { refusalOf } from '../support/errors.ts'
import { zip64End, zip64Extra, zipArchive, type WrittenEntry } from '../support/zip-archive.ts'

const MAX_UINT32 = 0xffffffff
const text = Buffer.from('some bytes')
const plain: WrittenEntry = { name: 'a/b', bytes: text }
let folder: string
let count = 0
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'resinit-zip-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function opened(bytes: Uint8Array) {
  const path = join(folder, String(count++))
  await writeFile(path, bytes)
  return openZip(path)
}

/** Opens an archive and reads each entry. */
async function readAll(bytes: Uint8Array, maxBytes = 1000) {
  const zip = await opened(bytes)
  try {
    const read: Record<string, string> = {}
    for (const entry of zip.entries.values())
      read[entry.name] = (await zip.readWhole(entry, maxBytes)).toString()
    return read
  } finally {
    await zip.close()
  }
}

describe('an archive', () => {
  test('of stored and deflated entries is read', async () => {
    const bytes = zipArchive([plain, { name: 'c', bytes: Buffer.alloc(500, 'x'), isDeflated: true }])
    expect(await readAll(bytes)).toEqual({ 'a/b': 'some bytes', c: 'x'.repeat(500) })
    const zip = await opened(bytes)
    expect([...zip.entries.values()]).toEqual([
      { name: 'a/b', size: 10, compressedSize: 10, isStored: true },
      { name: 'c', size: 500, compressedSize: expect.any(Number), isStored: false },
    ])
    await zip.close()
  })

  test('has its stored entries read in parts', async () => {
    const zip = await opened(zipArchive([plain, { name: 'c', bytes: text, isDeflated: true }]))
    const entry = { name: 'a/b', size: 10, compressedSize: 10, isStored: true }
    expect((await zip.read(entry, 5, 3)).toString()).toBe('byt')
    expect((await zip.read(entry, 10, 0)).toString()).toBe('')
    expect((await refusalOf(zip.read(entry, 5, 6))).message).toContain('entry "a/b" ends too early')
    const deflated = zip.entries.get('c') ?? entry
    expect((await refusalOf(zip.read(deflated, 0, 1))).message).toContain('entry "c" is compressed')
    await zip.close()
  })

  test('may be empty, and its entries too', async () => {
    expect(await readAll(zipArchive([]))).toEqual({})
    const empty = new Uint8Array(0)
    const entries = [{ name: 'a', bytes: empty }, { name: 'b', bytes: empty, isDeflated: true }, plain]
    expect(await readAll(zipArchive(entries))).toEqual({ a: '', b: '', 'a/b': 'some bytes' })
  })

  test('may use zip64', async () => {
    const extra = zip64Extra(10n, 10n)
    const entry = { ...plain, size: MAX_UINT32, compressedSize: MAX_UINT32, extra }
    expect(await readAll(zipArchive([entry]))).toEqual({ 'a/b': 'some bytes' })
  })

  test('of 10,000 entries opens in bounded time', async () => {
    const entries = Array.from({ length: 10_000 }, (_, index) => ({
      name: `data/${String(index)}`,
      bytes: text,
    }))
    const bytes = zipArchive(entries)
    const start = performance.now()
    const zip = await opened(bytes)
    expect(performance.now() - start).toBeLessThan(5000)
    await zip.close()
  })
})

describe('INVALID_WEIGHTS', () => {
  const many = Array.from({ length: 70 }, (_, index) => ({
    name: String(index),
    bytes: Buffer.alloc(1_000_000),
    isDeflated: true,
  }))
  const two = [plain, { ...plain, name: 'c' }]
  test.each<[string, Uint8Array, string]>([
    ['an empty file', Buffer.alloc(0), 'damaged zip archive'],
    ['another file', Buffer.alloc(100_000, 'PK'), 'damaged zip archive: End of central directory'],
    ['a file that ends early', zipArchive([plain]).subarray(0, -1), 'damaged zip archive'],
    ['no central directory', zipArchive([], 2), 'damaged zip archive'],
    ['a duplicate name', zipArchive([plain, plain]), 'entry "a/b" occurs twice'],
    ['a path to another directory', zipArchive([{ ...plain, name: '../a' }]), 'invalid relative path'],
    ['an absolute path', zipArchive([{ ...plain, name: '/etc/passwd' }]), 'absolute path'],
    ['a long name', zipArchive([{ ...plain, name: 'n'.repeat(2000) }]), 'names of its entries are too long'],
    ['a long extra field', zipArchive([{ ...plain, extra: Buffer.alloc(60_000) }]), 'are too long'],
    [
      'an encrypted entry',
      zipArchive([{ ...plain, flags: 1, size: 10, compressedSize: 22 }]),
      'is encrypted',
    ],
    ['strong encryption', zipArchive([{ ...plain, flags: 0x40 }]), 'strong encryption'],
    ['another compression', zipArchive([{ ...plain, method: 14 }]), 'compression method 14'],
    ['two sizes', zipArchive([{ ...plain, size: 11 }]), 'size mismatch for stored file'],
    [
      'an entry beyond the file',
      zipArchive([{ ...plain, size: 9999, compressedSize: 9999 }]),
      'is larger than the file',
    ],
    [
      'an entry over another',
      zipArchive([{ ...plain, size: 60, compressedSize: 60 }, ...two.slice(1)]),
      'overlaps',
    ],
    [
      'two entries at one position',
      zipArchive([plain, { ...plain, name: 'c/d', headerOffset: 0 }]),
      'overlaps',
    ],
    ['a position beyond the file', zipArchive([{ ...plain, headerOffset: 1_000_000 }]), 'overlaps'],
    ['another local name', zipArchive([{ ...plain, localName: 'a/c' }]), 'headers of entry "a/b" differ'],
    [
      'a long local name',
      zipArchive([
        { ...plain, localName: 'n'.repeat(99) },
        { ...plain, name: 'c', headerOffset: 120 },
      ]),
      'overlaps',
    ],
    [
      'a position without a header',
      zipArchive([{ ...plain, headerOffset: 3 }]),
      'local file header signature',
    ],
    ['data that is not deflated', zipArchive([{ ...plain, method: 8 }]), 'does not inflate to 10 bytes'],
    [
      'more data than declared',
      zipArchive([{ ...plain, isDeflated: true, size: 9 }]),
      'does not inflate to 9',
    ],
    [
      'less data than declared',
      zipArchive([{ ...plain, isDeflated: true, size: 11 }]),
      'does not inflate to 11',
    ],
    ['a large entry', zipArchive([{ ...plain, bytes: Buffer.alloc(1001) }]), 'at most 1000 are supported'],
    [
      'a bomb',
      zipArchive([{ name: 'a', bytes: Buffer.alloc(20_000_000), isDeflated: true }]),
      'inflates suspiciously: entry "a" grows from',
    ],
    ['a declared bomb', zipArchive([{ ...plain, isDeflated: true, size: 2 ** 31 }]), 'inflates suspiciously'],
    ['many bombs', zipArchive(many), 'inflates suspiciously: its entries have 70000000 bytes'],
    ['too many entries', zipArchive([plain], 20_000), '20000 entries; at most'],
    ['2^64 - 1 entries of zip64', zip64End(2n ** 64n - 1n, 0n), 'entries; at most'],
    ['a zip64 directory beyond 2^53', zip64End(1n, 2n ** 64n - 1n), 'the file ends too early'],
    ['a zip64 record beyond 2^53', zip64End(1n, 0n, 2n ** 63n), 'the file ends too early'],
    [
      'a zip64 size beyond 2^53',
      zipArchive([
        { ...plain, size: MAX_UINT32, compressedSize: MAX_UINT32, extra: zip64Extra(2n ** 63n, 2n ** 63n) },
      ]),
      'is larger than the file',
    ],
    [
      'a zip64 position beyond 2^53',
      zipArchive([{ ...plain, headerOffset: MAX_UINT32, extra: zip64Extra(2n ** 63n) }]),
      'overlaps',
    ],
    [
      'a zip64 field that ends early',
      zipArchive([{ ...plain, size: MAX_UINT32, extra: zip64Extra() }]),
      'does not include uncompressed size',
    ],
    [
      'an extra field that ends early',
      zipArchive([{ ...plain, extra: Buffer.of(1, 0, 99, 0) }]),
      'extra field length exceeds',
    ],
  ])('%s', async (_, bytes, words) => {
    const start = performance.now()
    const error = await refusalOf(readAll(bytes))
    expect(performance.now() - start).toBeLessThan(1000)
    expect(error).toMatchObject({ code: 'INVALID_WEIGHTS', errors: [{ pointer: '#/weights' }] })
    expect(error.message).toContain(words)
  })

  test('a directory', async () => {
    expect((await refusalOf(openZip(folder))).message).toContain('not a regular file')
  })
})
