import fc from 'fast-check'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compareTensors, openSafetensors, safetensorsHeader } from '../../../src/formats/safetensors.ts'
import { ServiceError } from '../../../src/common/errors.ts'
import { refusalOf } from '../support/errors.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'resinit-safetensors-'))
})
afterAll(() => rm(folder, { recursive: true }))

let count = 0
async function opened(bytes: Uint8Array) {
  const path = join(folder, `${String(count++)}.safetensors`)
  await writeFile(path, bytes)
  const file = await openSafetensors(path).finally(() => rm(path))
  return file
}

function withHeader(header: string | Buffer, data = Buffer.alloc(0)): Buffer {
  const json = Buffer.from(header)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  return Buffer.concat([length, json, data])
}

const name = fc
  .oneof(fc.string({ minLength: 1 }), fc.constantFrom('__proto__', 'a/b', '0', '1', 'ü'))
  .filter((text) => text !== '__metadata__' && text.isWellFormed())
const tensor = fc.record({ name, shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }) })
const tensors = fc.uniqueArray(tensor, { selector: (entry) => entry.name, maxLength: 6 })
const metadata = fc.dictionary(
  fc.string().filter((text) => text.isWellFormed()),
  fc.string().filter((text) => text.isWellFormed()),
  { noNullPrototype: true },
)

describe('a written file', () => {
  test('is read back: names, shapes, values, metadata', async () => {
    await fc.assert(
      fc.asyncProperty(tensors, metadata, async (wanted, words) => {
        const sizes = wanted.map(({ shape }) => shape.reduce((product, length) => product * length, 1))
        const values = sizes.map((size, index) =>
          Float32Array.from({ length: size }, (_, i) => index + i / 8),
        )
        const header = safetensorsHeader(wanted, words)
        expect(header.length % 8).toBe(0)
        const file = await opened(Buffer.concat([header, ...values.map((part) => Buffer.from(part.buffer))]))
        expect(compareTensors(file, wanted)).toEqual([])
        expect(file.tensors.size).toBe(wanted.length)
        expect(file.metadata).toEqual(words)
        for (const [index, { name: of }] of wanted.entries()) {
          expect(await file.read(of)).toEqual(values[index])
          if ((sizes[index] ?? 0) > 1) expect(await file.read(of, 1, 1)).toEqual(values[index]?.slice(1, 2))
        }
        await file.close()
      }),
      { numRuns: 60 },
    )
  })

  test('is compared with the tensors of a network', async () => {
    const wanted = ['a/kernel', 'b', 'c', 'd~'].map((of) => ({ name: of, shape: [2] }))
    const header = JSON.stringify({
      'a/kernel': { dtype: 'F32', shape: [1, 2], data_offsets: [0, 8] },
      b: { dtype: 'F16', shape: [2], data_offsets: [8, 12] },
      c: { dtype: 'F32', shape: [2], data_offsets: [12, 20] },
      extra: { dtype: 'F32', shape: [], data_offsets: [20, 24] },
    })
    const file = await opened(withHeader(header, Buffer.alloc(24)))
    expect(compareTensors(file, wanted)).toEqual([
      { pointer: '#/weights/a~1kernel', detail: 'must have shape [2], got [1, 2]' },
      { pointer: '#/weights/b', detail: 'must be F32, got F16' },
      { pointer: '#/weights/d~0', detail: 'is missing; [2] float32 is expected' },
      { pointer: '#/weights/extra', detail: 'is not a parameter of this network' },
    ])
    await expect(file.read('missing')).rejects.toThrow(RangeError)
    await file.close()
  })

  test('may hold empty tensors anywhere, in any order of its header', async () => {
    const entry = (start: number, end: number) => ({
      dtype: 'F32',
      shape: [(end - start) / 4],
      data_offsets: [start, end],
    })
    const header = JSON.stringify({ last: entry(4, 8), first: entry(0, 4), empty: entry(0, 0) })
    const file = await opened(withHeader(header, Buffer.alloc(8)))
    expect([...file.tensors.keys()]).toEqual(['last', 'first', 'empty'])
    await file.close()
  })
})

describe('a hostile file', () => {
  const entry = (fields: object) =>
    JSON.stringify({ a: { dtype: 'F32', shape: [1], data_offsets: [0, 4], ...fields } })
  const data = Buffer.alloc(4)
  test.each<[string, Buffer, string]>([
    ['empty', Buffer.alloc(0), 'header length'],
    ['shorter than its length field', Buffer.alloc(7), 'header length'],
    ['a length beyond the file', withHeader('{}').subarray(0, 9), 'header length'],
    ['a length of 2^64 - 1', Buffer.alloc(64, 255), 'header length'],
    ['no JSON', withHeader('{"a":'), 'not JSON'],
    ['nested deeper than any stack', withHeader('['.repeat(200_000)), 'nested deeper than 64'],
    ['null', withHeader('null'), 'not an object'],
    ['a number', withHeader('12'), 'not an object'],
    ['an array', withHeader('[]'), 'not an object'],
    ['metadata that is no text', withHeader('{"__metadata__":{"a":1}}'), '__metadata__'],
    ['metadata that is an array', withHeader('{"__metadata__":["a"]}'), '__metadata__'],
    ['a null entry', withHeader('{"a":null}'), 'lacks a dtype'],
    ['no dtype', withHeader(entry({ dtype: 4 }), data), 'lacks a dtype'],
    ['a negative length', withHeader(entry({ shape: [-1] }), data), 'lacks a dtype or a shape'],
    ['a fractional length', withHeader(entry({ shape: [0.5] }), data), 'lacks a dtype or a shape'],
    [
      'a shape whose size exceeds every safe integer',
      withHeader(entry({ shape: [2 ** 52, 2 ** 52] }), data),
      'its shape needs',
    ],
    ['offsets that run backwards', withHeader(entry({ data_offsets: [4, 0] }), data), 'data_offsets'],
    ['three offsets', withHeader(entry({ data_offsets: [0, 4, 8] }), data), 'data_offsets'],
    [
      'bytes that do not fit the shape',
      withHeader(entry({ shape: [2] }), data),
      '4 bytes, but its shape needs 8',
    ],
    ['a gap', withHeader(entry({ data_offsets: [4, 8] }), Buffer.alloc(8)), 'gap'],
    ['data beyond the header', withHeader(entry({}), Buffer.alloc(8)), 'holds 8 bytes'],
    ['less data than the header describes', withHeader(entry({}), Buffer.alloc(3)), 'holds 3 bytes'],
  ])('%s is INVALID_WEIGHTS', async (_, bytes, words) => {
    const error = await refusalOf(opened(bytes))
    expect(error).toMatchObject({ code: 'INVALID_WEIGHTS', errors: [{ pointer: '#/weights' }] })
    expect(error.message).toContain(words)
  })

  test('of arbitrary bytes is read completely or is INVALID_WEIGHTS', async () => {
    const whole = withHeader(
      JSON.stringify({
        __metadata__: { format: 'pt' },
        a: { dtype: 'F32', shape: [2, 2], data_offsets: [0, 16] },
        b: { dtype: 'F32', shape: [1], data_offsets: [16, 20] },
      }),
      Buffer.alloc(20),
    )
    const edit = fc.record({ place: fc.nat(whole.length - 1), byte: fc.nat(255) })
    const hostile = fc
      .tuple(fc.array(edit, { maxLength: 6 }), fc.nat(whole.length))
      .map(([edits, length]) => {
        const bytes = Buffer.from(whole)
        for (const { place, byte } of edits) bytes[place] = byte
        return length % 3 === 0 ? bytes.subarray(0, length) : bytes
      })
    let refused = 0
    await fc.assert(
      fc.asyncProperty(hostile, async (bytes) => {
        try {
          const file = await opened(bytes)
          for (const { name: of, dtype } of file.tensors.values()) if (dtype === 'F32') await file.read(of)
          await file.close()
        } catch (error) {
          expect(error).toBeInstanceOf(ServiceError)
          expect(error).toMatchObject({ code: 'INVALID_WEIGHTS' })
          refused += 1
        }
      }),
      { numRuns: 300, seed: 20 },
    )
    expect(refused).toBeGreaterThan(150)
  })
})

describe('a large header', () => {
  const entry = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
  const tensors = (name: (index: number) => string): string =>
    `{${Array.from({ length: 10_000 }, (_, index) => `"${name(index)}":${entry}`).join()}}`

  test.each([
    ['long names', tensors((index) => `${'n'.repeat(1500)}${String(index)}`)],
    ['names in escapes', tensors((index) => `${'\\u0041'.repeat(240)}${String(index)}`)],
    ['a long text in __metadata__', `{"__metadata__":{"a":"${'\\n'.repeat(7_500_000)}"}}`],
    ['a long shape', `{"a":{"dtype":"F32","shape":[${'1,'.repeat(7_000_000)}0],"data_offsets":[0,0]}}`],
  ])('of 15 MB does not block the event loop while it is read: %s', async (_, header) => {
    const bytes = withHeader(header)
    const shares: number[] = []
    // The best of several runs, because other processes share the processor.
    for (let run = 0; run < 3; run += 1) {
      let longest = 0
      const start = performance.now()
      let last = start
      const clock = setInterval(() => {
        const now = performance.now()
        longest = Math.max(longest, now - last)
        last = now
      }, 1)
      const file = await opened(bytes)
      clearInterval(clock)
      await file.close()
      shares.push(Math.max(longest, performance.now() - last) / (performance.now() - start))
    }
    expect(Math.min(...shares)).toBeLessThan(1 / 2)
  })

  test('that names a tensor twice is rejected with its name', async () => {
    const error = await refusalOf(opened(withHeader(`{"a/b":${entry},"a/b":${entry}}`)))
    expect(error).toMatchObject({ code: 'INVALID_WEIGHTS' })
    expect(error.message).toContain('has the field "a/b" twice, at #/a~1b')
  })
})
