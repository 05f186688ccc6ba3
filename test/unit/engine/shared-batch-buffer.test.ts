import { mkdtempSync, readdirSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { SharedBatchBuffer, SharedBatchReader } from '../../../src/engine/shared-batch-buffer.ts'
import type { ImageValues } from '../../../src/engine/contract.ts'

const MIB = 2 ** 20

let memory: SharedBatchBuffer
let reader: SharedBatchReader
beforeEach(() => {
  const opened = SharedBatchBuffer.open()
  if (opened === undefined) throw new Error('there is no memory to share')
  memory = opened
  reader = new SharedBatchReader(memory.fd)
})
afterEach(() => {
  memory.close()
})

function place(values: ImageValues) {
  const placed = memory.write(values)
  if (placed === undefined) throw new Error('there is no room')
  return placed
}

test.each<[string, ImageValues]>([
  ['pixels', Uint8Array.of(1, 2, 3)],
  ['pixels of a decoder', Buffer.of(4, 5)],
  ['floats', Float32Array.of(1.5, -0, NaN)],
  ['JPEGs', [Uint8Array.of(1), Uint8Array.of(2, 3), Buffer.of(4, 5, 6)]],
  ['floats in the middle of others', new Float32Array(8).fill(7).subarray(3, 5)],
])('%s are read as they were written', (_, values) => {
  const read = reader.read(place(values))
  const bytes = (all: ImageValues) =>
    (Array.isArray(all) ? (all as Uint8Array[]) : [all as Uint8Array]).map((part) =>
      Buffer.from(part.buffer, part.byteOffset, part.byteLength).toString('hex'),
    )
  expect(bytes(read)).toEqual(bytes(values))
  expect(read instanceof Float32Array).toBe(values instanceof Float32Array)
})

test('holds the current and the next batch, and no third one before a slot is freed', () => {
  const [first, second] = [place(Uint8Array.of(1)), place(Uint8Array.of(2))]
  expect(memory.write(Uint8Array.of(3))).toBeUndefined()
  memory.free(first)
  const third = place(Uint8Array.of(4))
  expect([second, third].map((placed) => [...(reader.read(placed) as Uint8Array)])).toEqual([[2], [4]])
})

test('a batch above the slot size is not written, and uses no slot', () => {
  expect(memory.write(new Uint8Array(8 * MIB + 1))).toBeUndefined()
  place(new Uint8Array(8 * MIB).fill(1))
  const second = place(new Uint8Array(8 * MIB).fill(2))
  expect((reader.read(second) as Uint8Array).every((value) => value === 2)).toBe(true)
})

test('is an unlinked file, and undefined without its directory', () => {
  const folder = mkdtempSync(join(tmpdir(), 'resinit-'))
  const opened = SharedBatchBuffer.open(folder)
  expect(opened?.write(Uint8Array.of(1))).toBeDefined()
  expect(readdirSync(folder)).toEqual([])
  opened?.close()
  rmdirSync(folder)
  expect(SharedBatchBuffer.open(folder)).toBeUndefined()
})
