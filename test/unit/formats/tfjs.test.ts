import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openTfjs } from '../../../src/formats/tfjs.ts'
import { Choices } from '../../support/random.ts'
import { refusalOf } from '../support/errors.ts'
import { PartsFolder, readAll, type Content } from '../support/weights-parts.ts'

let folder: PartsFolder
beforeAll(async () => {
  folder = await PartsFolder.create()
})
afterAll(() => folder.remove())

async function open(model: Content, shards: Readonly<Record<string, Content>>) {
  const [first, ...parts] = await folder.write({ 'model.json': model, ...shards })
  if (first === undefined) throw new Error('no model.json was written')
  return await openTfjs(first, parts)
}

const bytesOf = (values: ArrayBufferView) => Buffer.from(values.buffer, values.byteOffset, values.byteLength)
const floats = (...values: number[]) => bytesOf(Float32Array.from(values))
/** One group with the shard `s`. */
const manifest = (...weights: readonly object[]) => ({
  format: 'layers-model',
  modelTopology: {},
  weightsManifest: [{ paths: ['s'], weights }],
})

describe('the shards of a group', () => {
  const weights = [
    { name: 'conv1_conv/kernel', shape: [2, 2], dtype: 'float32' },
    { name: 'flag', shape: [], dtype: 'bool' },
    { name: 'empty', shape: [0, 3], dtype: 'float32' },
    { name: 'conv1_conv/bias', shape: [3], dtype: 'float32' },
    { name: 'steps', shape: [1], dtype: 'int32' },
  ]
  const data = Buffer.concat([
    floats(1, -2, 3, 0.1),
    Buffer.of(1),
    floats(5, 6, 7),
    bytesOf(Int32Array.of(-9)),
  ])

  test.each([[[33]], [[1, 32]], [[7, 9, 17]], [[0, 16, 3, 0, 3, 11]], [Array.from({ length: 33 }, () => 1)]])(
    'are concatenated, cut at %j bytes',
    async (lengths) => {
      const cuts = lengths.map((length, index) => {
        const start = lengths.slice(0, index).reduce((sum, before) => sum + before, 0)
        return [`group1-shard${String(index)}`, data.subarray(start, start + length)] as const
      })
      const model = { weightsManifest: [{ paths: cuts.map(([name]) => name), weights }] }
      const file = await open(model, Object.fromEntries(cuts.toReversed()))
      expect(file.format).toBe('tfjs')
      expect(file.metadata).toEqual({})
      expect([...file.tensors.values()]).toEqual([
        { name: 'conv1_conv/kernel', dtype: 'F32', shape: [2, 2] },
        { name: 'flag', dtype: 'BOOL', shape: [] },
        { name: 'empty', dtype: 'F32', shape: [0, 3] },
        { name: 'conv1_conv/bias', dtype: 'F32', shape: [3] },
        { name: 'steps', dtype: 'I32', shape: [1] },
      ])
      expect(await file.read('conv1_conv/kernel')).toEqual(Float32Array.of(1, -2, 3, 0.1))
      expect(await file.read('conv1_conv/kernel', 1, 2)).toEqual(Float32Array.of(-2, 3))
      expect(await file.read('conv1_conv/kernel', 3)).toEqual(Float32Array.of(0.1))
      expect(await file.read('flag')).toEqual(Float32Array.of(1))
      expect(await file.read('empty')).toEqual(new Float32Array(0))
      expect(await file.read('conv1_conv/bias')).toEqual(Float32Array.of(5, 6, 7))
      expect(await file.read('steps')).toEqual(Float32Array.of(-9))
      await expect(file.read('steps', 0, 2)).rejects.toThrow(RangeError)
      await expect(file.read('missing')).rejects.toThrow(RangeError)
      await file.close()
    },
  )

  test('belong to their group', async () => {
    const group = (path: string, name: string) => ({
      paths: [path],
      weights: [{ name, shape: [1], dtype: 'float32' }],
    })
    const model = { weightsManifest: [group('g1', 'a'), group('g2', 'b')] }
    const file = await open(model, { g2: floats(2), g1: floats(1) })
    expect([...(await file.read('a')), ...(await file.read('b'))]).toEqual([1, 2])
    await file.close()
  })

  test('hold weights of an optimizer, which are left out', async () => {
    const weight = (name: string, group?: string) => ({ name, shape: [1], dtype: 'float32', group })
    const file = await open(manifest(weight('iter', 'optimizer'), weight('a', 'model'), weight('b')), {
      s: floats(1, 2, 3),
    })
    expect([...file.tensors.keys()]).toEqual(['a', 'b'])
    expect(await file.read('b')).toEqual(Float32Array.of(3))
    await file.close()
  })
})

describe('an invalid model', () => {
  const weight = { name: 'w', shape: [1], dtype: 'float32' }
  const s = floats(1)
  const quantized = (quantization: object, dtype = 'float32') => manifest({ ...weight, dtype, quantization })
  test.each<[string, Content, Readonly<Record<string, Content>>, string]>([
    ['no JSON', 'x', { s }, 'model.json is not JSON'],
    ['an array', [], { s }, 'not a list of groups'],
    ['no manifest', {}, { s }, 'not a list of groups'],
    ['a manifest that is an object', { weightsManifest: {} }, { s }, 'not a list of groups'],
    ['no groups', { weightsManifest: [] }, {}, 'lists no weights'],
    ['a null group', { weightsManifest: [null] }, {}, 'lacks the list'],
    ['a path that is a number', { weightsManifest: [{ paths: [1], weights: [] }] }, {}, 'lacks the list'],
    ['a null weight', { weightsManifest: [{ paths: ['s'], weights: [null] }] }, { s }, 'no name'],
    ['a weight without a shape', manifest({ name: 'w', dtype: 'float32' }), { s }, 'no valid shape'],
    ['a negative length', manifest({ ...weight, shape: [-1] }), { s }, 'no valid shape'],
    ['a fractional length', manifest({ ...weight, shape: [0.5] }), { s }, 'no valid shape'],
    ['a huge shape', manifest({ ...weight, shape: [2 ** 52, 2 ** 52] }), { s }, 'too large'],
    [
      'an endless shape with a zero',
      manifest({ ...weight, shape: [...Array.from({ length: 30 }, () => 2 ** 52), 0] }),
      { s },
      'too large',
    ],
    ['a text', manifest({ ...weight, dtype: 'string' }), { s }, 'the dtype "string"'],
    ['a complex number', manifest({ ...weight, dtype: 'complex64' }), { s }, 'the dtype "complex64"'],
    ['no dtype', manifest({ name: 'w', shape: [1] }), { s }, 'dtype missing'],
    ['the dtype __proto__', manifest({ ...weight, dtype: '__proto__' }), { s }, '"__proto__"'],
    ['a null quantization', manifest({ ...weight, quantization: null }), { s }, 'quantization missing'],
    ['an unknown quantization', quantized({ dtype: 'uint4' }), { s }, 'quantization "uint4"'],
    ['uint8 without a scale', quantized({ dtype: 'uint8', min: 1 }), { s: s.subarray(1) }, 'no scale'],
    ['uint8 with a text', quantized({ dtype: 'uint8', min: '1', scale: 1 }), { s }, 'no scale'],
    ['float16 of int32', quantized({ dtype: 'float16' }, 'int32'), { s }, 'not float32'],
    ['a quantized bool', quantized({ dtype: 'uint8', min: 0, scale: 1 }, 'bool'), { s }, 'dtype is bool'],
    ['a weight twice', manifest(weight, weight), { s }, 'the weight "w" twice'],
    [
      'a shard in two groups',
      {
        weightsManifest: [
          { paths: ['s'], weights: [weight] },
          { paths: ['s'], weights: [] },
        ],
      },
      { s },
      'the shard "s" twice',
    ],
    ['a missing shard', manifest(weight), {}, 'lacks the shard "s" of the 1'],
    ['an unused shard', manifest(weight), { s, t: s }, 'the part "t"'],
    [
      'a path above the model',
      { weightsManifest: [{ paths: ['../s'], weights: [weight] }] },
      { s },
      'without a directory',
    ],
    ['a short shard', manifest(weight), { s: s.subarray(1) }, 'has 3 bytes in the shards from "s" on'],
    ['a long shard', manifest(weight), { s: floats(1, 2) }, 'model.json describes 4'],
    [
      'too many shards',
      { weightsManifest: [{ paths: Array.from({ length: 513 }, (_, i) => String(i)), weights: [weight] }] },
      {},
      'at most 512',
    ],
    [
      'a million paths',
      {
        weightsManifest: [
          { paths: Array.from({ length: 1_000_000 }, (_, i) => String(i)), weights: [weight] },
        ],
      },
      {},
      'at most 512',
    ],
    [
      'a million weights',
      { weightsManifest: [{ paths: [], weights: Array.from({ length: 1_000_000 }, () => ({})) }] },
      {},
      'more than 50000 objects',
    ],
    ['a deep topology', `{"modelTopology":${'['.repeat(100_000)}`, {}, 'nested deeper'],
  ])('with %s is INVALID_WEIGHTS', async (_, model, shards, words) => {
    const error = await refusalOf(open(model, shards))
    expect(error).toMatchObject({ code: 'INVALID_WEIGHTS', errors: [{ pointer: '#/weights' }] })
    expect(error.message).toContain(words)
    expect(error.message.length).toBeLessThan(400)
  })

  test('after random changes is read completely or is INVALID_WEIGHTS', async () => {
    const choices = new Choices(12)
    const outcomes: string[] = []
    const model = manifest(
      { name: 'a', shape: [2, 3], dtype: 'float32' },
      { name: 'b', shape: [4], dtype: 'float32', quantization: { dtype: 'uint16', scale: 0.5, min: -1 } },
      { name: 'c', shape: [4], dtype: 'float32', quantization: { dtype: 'float16' } },
    )
    for (let run = 0; run < 300; run += 1) {
      const json = Buffer.from(JSON.stringify(model))
      for (let edit = choices.integer(0, 3); edit > 0; edit -= 1)
        json[choices.integer(0, json.length - 1)] = choices.of(choices.integer(0, 255), 0x30, 0x39, 0x22)
      const shard = Buffer.alloc(choices.of(40, 40, 40, 39), choices.integer(0, 255))
      outcomes.push(await readAll(open(json, { s: shard })))
    }
    expect(outcomes.filter((outcome) => outcome === 'refused').length).toBeGreaterThan(100)
    expect(outcomes.filter((outcome) => outcome === 'read').length).toBeGreaterThan(20)
  })
})
