import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openSafetensors } from '../../../src/formats/safetensors.ts'
import { openShardedSafetensors } from '../../../src/formats/safetensors-shards.ts'
import { writeDtypes } from '../../support/safetensors.ts'
import { refusalOf } from '../support/errors.ts'
import { Choices } from '../../support/random.ts'
import { PartsFolder, readAll, type Content } from '../support/weights-parts.ts'

const FIXTURES = new URL('../../fixtures/safetensors/', import.meta.url)
const fixture = (name: string) => new URL(name, FIXTURES).pathname
const INDEX = 'model.safetensors.index.json'
const SHARDS = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors']

let folder: PartsFolder
beforeAll(async () => {
  folder = await PartsFolder.create()
})
afterAll(() => folder.remove())

async function open(index: Content, shards: Readonly<Record<string, Content>>) {
  const [first, ...parts] = await folder.write({ [INDEX]: index, ...shards })
  if (first === undefined) throw new Error('no index was written')
  return await openShardedSafetensors(first, parts)
}

const tensor = (...values: number[]) => ({
  dtype: 'F32',
  shape: [values.length],
  bytes: Buffer.from(Float32Array.from(values).buffer),
})
const SET = {
  a: writeDtypes({ first: tensor(1, 2), third: tensor(3) }, { format: 'pt' }),
  b: writeDtypes({ second: tensor(4) }),
}
const MAP = { first: 'a', second: 'b', third: 'a' }

describe('files that safetensors and torch wrote', () => {
  test('of each dtype are read as torch converts them', async () => {
    const expected = JSON.parse(await readFile(fixture('expected.json'), 'utf8')) as Record<string, number[]>
    const file = await openSafetensors(fixture('dtypes.safetensors'))
    expect([...file.tensors.keys()].sort()).toEqual(Object.keys(expected).sort())
    for (const [name, bits] of Object.entries(expected)) {
      expect(file.tensors.get(name)).toMatchObject({ name, dtype: name, shape: [2, 3, 4] })
      const values = await file.read(name)
      expect([...new Int32Array(values.buffer, values.byteOffset, values.length)], name).toEqual(bits)
      expect(await file.read(name, 5, 3), name).toEqual(values.slice(5, 8))
    }
    await file.close()
  })

  test('in shards are one file in any order of the shards', async () => {
    const parts = SHARDS.toReversed().map((name) => ({ name: `folder/${name}`, path: fixture(name) }))
    const file = await openShardedSafetensors({ name: INDEX, path: fixture(INDEX) }, parts)
    expect(file.format).toBe('safetensors')
    expect(file.metadata).toEqual({ format: 'pt' })
    expect([...file.tensors].map(([name, { dtype, shape }]) => [name, dtype, shape])).toEqual([
      ['bn1.num_batches_tracked', 'I64', []],
      ['bn1.running_mean', 'F32', [2]],
      ['conv1.weight', 'F32', [2, 3, 3, 3]],
      ['fc.weight', 'F16', [3, 2]],
    ])
    expect([...(await file.read('fc.weight'))]).toEqual([0, 0.125, 0.25, 0.375, 0.5, 0.625])
    expect([...(await file.read('conv1.weight', 50, 3))]).toEqual([50, 51, 52])
    expect([...(await file.read('bn1.num_batches_tracked'))]).toEqual([7])
    await expect(file.read('missing')).rejects.toThrow(RangeError)
    await expect(file.read('fc.weight', 5, 2)).rejects.toThrow(RangeError)
    await file.close()
  })
})

describe('a wrong set', () => {
  test.each<[string, Content, Readonly<Record<string, Content>>, string]>([
    ['an index that is no JSON', '{', SET, 'the index is not JSON'],
    ['an index without a map', {}, SET, 'without a weight_map'],
    ['an empty map', { weight_map: {} }, SET, 'without a weight_map'],
    ['a map of numbers', { weight_map: { first: 1 } }, SET, '"first" has no file name'],
    ['a deep index', `{"weight_map":${'['.repeat(100_000)}`, SET, 'nested deeper'],
    [
      'an index of a million tensors',
      `{"weight_map":{${Array.from({ length: 1_000_000 }, (_, i) => `"${String(i)}":"a"`).join()}}}`,
      SET,
      'more than 50000 fields',
    ],
    [
      'an index of too many tensors',
      { weight_map: Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [`t${String(i)}`, 'a'])) },
      SET,
      'more than 10000 tensors',
    ],
    [
      'an index of too many shards',
      {
        weight_map: Object.fromEntries(
          Array.from({ length: 513 }, (_, i) => [`t${String(i)}`, `s${String(i)}`]),
        ),
      },
      SET,
      'at most 512',
    ],
    ['an index of 17 MB', Buffer.alloc(17_000_000, ' '), SET, 'at most 16777216'],
    ['a shard above the index', { weight_map: { ...MAP, first: '../a' } }, SET, 'without a directory'],
    ['an absolute shard', { weight_map: { ...MAP, first: '/etc/passwd' } }, SET, 'without a directory'],
    ['a shard with a backslash', { weight_map: { ...MAP, first: 'x\\a' } }, SET, 'without a directory'],
    ['a shard ..', { weight_map: { ...MAP, first: '..' } }, SET, 'without a directory'],
    ['a missing shard', { weight_map: MAP }, { a: SET.a }, 'lacks the shard "b"'],
    ['no shards', { weight_map: MAP }, {}, 'lacks the shard "a" and 1 more of the 2'],
    ['an unused shard', { weight_map: MAP }, { ...SET, c: SET.b }, 'the part "c", which the index'],
    ['a shard that is sent twice', { weight_map: MAP }, { ...SET, 'x/b': SET.b }, 'the part "b" twice'],
    [
      'a tensor in two shards',
      { weight_map: MAP },
      { ...SET, b: writeDtypes({ second: tensor(4), first: tensor(1, 2) }) },
      'the tensor "first" in "b", but the index lists it in "a"',
    ],
    [
      'a tensor that is absent from its shard',
      { weight_map: { ...MAP, fourth: 'b' } },
      SET,
      'lacks the tensor "fourth" in "b"',
    ],
    [
      'a tensor that the index does not list',
      { weight_map: { first: 'a', second: 'b' } },
      SET,
      '"third" in "a", which the index does not list',
    ],
    [
      'a truncated shard',
      { weight_map: MAP },
      { ...SET, a: SET.a.subarray(0, -4) },
      'the shard "a", which is not a safetensors file: it holds 8 bytes of data, but its header describes 12; download',
    ],
  ])('%s is INVALID_WEIGHTS', async (_, index, shards, words) => {
    const error = await refusalOf(open(index, shards))
    expect(error).toMatchObject({ code: 'INVALID_WEIGHTS', errors: [{ pointer: '#/weights' }] })
    expect(error.message).toContain(words)
    expect(error.message.length).toBeLessThan(400)
  })

  test('after random changes is read completely or is INVALID_WEIGHTS', async () => {
    const choices = new Choices(11)
    const outcomes: string[] = []
    for (let run = 0; run < 200; run += 1) {
      const index = Buffer.from(JSON.stringify({ metadata: { total_size: 16 }, weight_map: MAP }))
      const set = { a: Buffer.from(SET.a), b: Buffer.from(SET.b) }
      const target = choices.of(index, set.a, set.b)
      for (let edit = choices.integer(0, 2); edit >= 0; edit -= 1)
        target[choices.integer(0, target.length - 1)] = choices.integer(0, 255)
      outcomes.push(await readAll(open(index, set)))
    }
    expect(outcomes.filter((outcome) => outcome === 'refused').length).toBeGreaterThan(100)
    expect(outcomes).toContain('read')
  })
})
