import { gzipSync } from 'node:zlib'
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { detectArchiveFormat } from '../../../src/formats/archive-format.ts'
import { npyHeader } from '../../../src/formats/npy.ts'
import { openWeightsFile } from '../../../src/formats/open-weights.ts'
import { Choices } from '../../support/random.ts'
import { writeDtypes } from '../../support/safetensors.ts'
import { refusal, refusalOf } from '../support/errors.ts'
import { PartsFolder, readAll, type Content } from '../support/weights-parts.ts'

const fixture = (name: string) => readFile(new URL(`../../fixtures/${name}`, import.meta.url))

let folder: PartsFolder
beforeAll(async () => {
  folder = await PartsFolder.create()
})
afterAll(() => folder.remove())

const open = async (files: Readonly<Record<string, Content>>) => openWeightsFile(await folder.write(files))

const tensor = (...values: number[]) => ({
  dtype: 'F32',
  shape: [values.length],
  bytes: Buffer.from(Float32Array.from(values).buffer),
})
const WEIGHTS = writeDtypes({ a: tensor(1, 2) })
const INDEX = { weight_map: { a: 'one', b: 'two' } }
const SHARDS = { one: WEIGHTS, two: writeDtypes({ b: tensor(3) }) }
const MODEL = {
  weightsManifest: [{ paths: ['s'], weights: [{ name: 'a', shape: [2], dtype: 'float32' }] }],
}
const padded = (text: string, position: number) =>
  Buffer.concat([Buffer.alloc(position), Buffer.from(text), Buffer.alloc(600)])

describe('the format is detected from the content', () => {
  test.each<[string, Readonly<Record<string, Content>>, string, string[]]>([
    ['safetensors', { 'weights.h5': WEIGHTS }, 'safetensors', ['a']],
    ['sharded safetensors', { ...SHARDS, 'x.bin': INDEX }, 'safetensors', ['a', 'b']],
    ['tfjs', { 'x.safetensors': MODEL, s: tensor(1, 2).bytes }, 'tfjs', ['a']],
    [
      'tfjs with a byte order mark',
      { s: tensor(1, 2).bytes, m: `\uFEFF ${JSON.stringify(MODEL)}` },
      'tfjs',
      ['a'],
    ],
    [
      'tfjs with a shard that resembles gzip',
      { m: MODEL, s: Buffer.from('1f8b000000000000', 'hex') },
      'tfjs',
      ['a'],
    ],
    ['tfjs with a shard that resembles JSON', { m: MODEL, s: Buffer.from('{"\0\0\0\0\0\0') }, 'tfjs', ['a']],
    ['tfjs with a shard that resembles safetensors', { m: MODEL, s: Buffer.alloc(8, 1) }, 'tfjs', ['a']],
  ])('%s', async (_, files, format, names) => {
    const file = await open(files)
    expect(file.format).toBe(format)
    expect([...file.tensors.keys()]).toEqual(names)
    await file.close()
  })
})

test('PyTorch and its TorchScript archives are detected from the content', async () => {
  const file = await open({ 'weights.safetensors': await fixture('pytorch/state_dict.bin') })
  expect(file.format).toBe('pytorch')
  expect(file.tensors.size).toBeGreaterThan(0)
  await file.close()
  const error = await refusalOf(open({ w: await fixture('pytorch/script.pt') }))
  expect(error).toMatchObject({ code: 'INVALID_WEIGHTS' })
  expect(error.message).toMatch(/torch ?script/iu)
})

test.each([0, 512, 1024])('an HDF5 signature at %d is detected', async (position) => {
  const signature = Buffer.from('\x89HDF\r\n\x1a\n', 'latin1')
  const error = await refusalOf(
    open({ w: Buffer.concat([Buffer.alloc(position), signature, Buffer.alloc(99)]) }),
  )
  expect(error).toMatchObject({ code: 'INVALID_WEIGHTS' })
  expect(error.message).not.toContain('no known format')
})

test.each([
  ['an empty archive', [], 'is an empty zip archive'],
  ['npz', ['a.npy', 'b.npy'], 'is an npz archive of numpy'],
  ['a SavedModel', ['m/saved_model.pb', 'm/x'], 'is an archive of a TensorFlow SavedModel'],
  ['other entries', ['a', 'b', 'c', 'd'], 'is a zip archive with "a", "b", "c" ..., not of PyTorch or Keras'],
])('a zip archive with %s is identified', (_, names, words) => {
  expect(refusal(() => detectArchiveFormat(names)).message).toContain(words)
})

describe('a file that cannot be used is identified', () => {
  test.each<[string, Content, string]>([
    ['an empty file', '', 'is an empty file; write or download it again'],
    [
      'a git-lfs pointer',
      'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 102502400\n',
      'is a pointer of git-lfs (version https://git-lfs.github.com/spec/v1), not the file itself; run "git lfs pull"',
    ],
    [
      'an HTML page',
      '\n<!DOCTYPE html><html><title>Sign in</title>',
      'is an HTML page; the download needs a login',
    ],
    ['an XML error', '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', 'is an HTML page'],
    [
      'a pickle of torch before 1.6',
      Buffer.from('80028a0a6cfc9c46f9206aa850192e80024de9032e', 'hex'),
      'torch.save(model.state_dict(), path) with torch 1.6 or newer',
    ],
    ['a pickle', Buffer.from('80049508000000', 'hex'), 'is a pickle outside of a zip archive'],
    ['an npy file', npyHeader([0]), 'is an array of numpy without names'],
    ['ONNX of torch', Buffer.from('080712077079746f7263681a05312e3133', 'hex'), 'is an ONNX model'],
    ['ONNX of another writer', Buffer.from('080a3ab8010a', 'hex'), 'is an ONNX model'],
    ['GGUF', Buffer.from('GGUF\x03\0\0\0'), 'is a GGUF file'],
    [
      'a TensorFlow SavedModel',
      Buffer.from('080112f2a9030af201', 'hex'),
      'is saved_model.pb of a TensorFlow SavedModel',
    ],
    [
      'the index of a TensorFlow checkpoint',
      Buffer.concat([
        Buffer.from('0000000801', 'hex'),
        Buffer.alloc(90),
        Buffer.from('57fb808b247547db', 'hex'),
      ]),
      'is the .index of a TensorFlow checkpoint',
    ],
    ['the list of checkpoints', 'model_checkpoint_path: "ckpt-1"\n', 'is the list of TensorFlow checkpoints'],
    ['TensorFlow Lite', Buffer.from('\x1c\0\0\0TFL3\x14\0'), 'is a TensorFlow Lite model'],
    ['MATLAB', Buffer.from('MATLAB 5.0 MAT-file, Platform: GLNXA64'), 'is a MATLAB file'],
    ['gzip', gzipSync(WEIGHTS), 'is a tar or gzip archive; unpack it'],
    ['tar', padded('ustar\0', 257), 'is a tar or gzip archive; unpack it'],
    ['zstd', Buffer.from('28b52ffd2400', 'hex'), 'is a compressed archive'],
    ['PNG', Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), 'is an image'],
    [
      'a text',
      'Entry not found',
      'has no known format: it begins with the text "Entry not found"; send safetensors',
    ],
    ['other bytes', Buffer.from('00ff10', 'hex'), 'it begins with the bytes 00 ff 10;'],
    ['long lines', Buffer.alloc(5000, 'x'), 'the text "xxx'],
    [
      'truncated safetensors',
      WEIGHTS.subarray(0, -3),
      'holds 5 bytes of data, but its header describes 8; download',
    ],
    [
      'safetensors cut in its header',
      WEIGHTS.subarray(0, 20),
      'its header length does not fit the file of 20 bytes',
    ],
    ['a configuration', { architecture: 'resnet50' }, 'send it as the part "config"'],
    ['the architecture of a Keras model', { class_name: 'Functional', config: {} }, 'send model.weights.h5'],
    ['tfjs without weights', { modelTopology: {} }, 'without weightsManifest'],
    ['an error in JSON', { error: 'x' }, 'is JSON with the keys "error": neither'],
    ['deep JSON', `{"a":${'['.repeat(100_000)}`, 'nested deeper'],
    [
      'many keys',
      Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`k${String(i)}`, 0])),
      '"k4" ...: neither',
    ],
    ['tfjs without its shards', MODEL, 'lacks the shard "s"'],
    ['an index without its shards', INDEX, 'lacks the shard "one" and 1 more'],
  ])('%s', async (_, content, words) => {
    const error = await refusalOf(open({ 'model.safetensors': content }))
    expect(error).toMatchObject({ code: 'INVALID_WEIGHTS', errors: [{ pointer: '#/weights' }] })
    expect(error.message).toContain(words)
    expect(error.message.length).toBeLessThan(400)
  })

  test('an image of the fixtures', async () => {
    const error = await refusalOf(open({ f: await fixture('flower.jpg') }))
    expect(error.message).toContain('is an image')
  })
})

describe('parts that do not belong together are identified', () => {
  test.each<[string, Readonly<Record<string, Content>>, string]>([
    ['none', {}, 'is required: send a weights file'],
    ['two files without an index', SHARDS, 'has 2 files without an index'],
    ['two indexes', { x: INDEX, y: MODEL }, 'has several JSON files: "x", "y"; send one index'],
    ['a shard that is empty', { i: INDEX, ...SHARDS, two: '' }, 'has the part "two", which is an empty file'],
    [
      'a tfjs shard that is a git-lfs pointer',
      { m: MODEL, s: 'version https://git-lfs.github.com/spec/v1\n' },
      'has the part "s", which is a pointer of git-lfs',
    ],
    [
      'a shard that is a pickle',
      { i: INDEX, ...SHARDS, two: Buffer.from('8004', 'hex') },
      '"two", which is a pickle',
    ],
    [
      'a shard of PyTorch',
      { i: INDEX, ...SHARDS, two: Buffer.from('PK\x03\x04') },
      '"two", which is not a safetensors',
    ],
    ['a shard of noise', { i: INDEX, ...SHARDS, two: Buffer.alloc(9) }, '"two", which has no known format'],
    [
      'a TensorFlow SavedModel',
      { 'variables.data': Buffer.alloc(99), 'saved_model.pb': Buffer.from('080112f2a903', 'hex') },
      'has the part "saved_model.pb", which is saved_model.pb of',
    ],
    [
      'a configuration beside weights',
      { c: { model_type: 'resnet' }, w: WEIGHTS },
      'has the part "c", which is a conf',
    ],
  ])('%s', async (_, files, words) => {
    const error = await refusalOf(open(files))
    expect(error).toMatchObject({ code: 'INVALID_WEIGHTS', errors: [{ pointer: '#/weights' }] })
    expect(error.message).toContain(words)
  })
})

test('random bytes, and random starts of known formats, are read or are INVALID_WEIGHTS', async () => {
  const choices = new Choices(13)
  const starts = [Buffer.alloc(0), WEIGHTS, Buffer.from('{"weight_map":{'), Buffer.from('8002', 'hex')]
  for (let run = 0; run < 300; run += 1) {
    const noise = Buffer.from(Array.from({ length: choices.integer(0, 2000) }, () => choices.integer(0, 255)))
    const start = starts[choices.integer(0, starts.length - 1)] ?? WEIGHTS
    const cut = start.subarray(0, choices.integer(0, start.length))
    await readAll(open({ w: Buffer.concat([cut, noise]) }))
  }
})
