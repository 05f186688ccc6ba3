import { execFile } from 'node:child_process'
import { copyFile, mkdir, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { readConfig } from '../../../src/config.ts'
import { readPreload } from '../../../src/service.ts'
import type { Preloaded } from '../../../src/serving/models/preload.ts'
import type { ModelBody } from '../../support/client.ts'
import { whileHalted } from '../../support/halt.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { startPreloading, startService, temporaryFolder, type RunningService } from '../../support/service.ts'

let folder: string
beforeEach(async () => {
  folder = await temporaryFolder()
})
afterEach(() => rm(folder, { recursive: true }))

const makeFifo = (path: string) => promisify(execFile)('mkfifo', [path])
const write = (name: string, given: unknown): Promise<void> =>
  writeFile(join(folder, name), typeof given === 'string' ? given : JSON.stringify(given))
const read = (path = folder) => readPreload(readConfig({ PRELOAD: path }))

describe('entries', () => {
  const describeEntry = ({ name, source }: Preloaded): string[] => [
    name,
    ...('weights' in source ? source.weights.parts.map(({ path }) => relative(folder, path)) : []),
  ]
  const names = async (path?: string): Promise<string[]> => (await read(path)).map(({ name }) => name)

  it('one file with one or several specifications', async () => {
    await write('one.json', { ...tiny, name: 'one' })
    await write('two.json', [
      { ...tiny, name: 'two' },
      { ...tiny, seed: 2, name: 'three' },
    ])
    expect(await names(join(folder, 'one.json'))).toEqual(['one'])
    expect(await names(join(folder, 'two.json'))).toEqual(['two', 'three'])
    expect(await names()).toEqual(['one', 'two', 'three'])
  })

  it('a mounted ConfigMap once, without files of other kinds', async () => {
    await mkdir(join(folder, '..2026_11_28'))
    await write('..2026_11_28/net.json', { ...tiny, name: 'net' })
    await write('README.md', 'words')
    await symlink('..2026_11_28', join(folder, '..data'))
    await symlink('..data/net.json', join(folder, 'net.json'))
    expect(await names()).toEqual(['net'])
  })

  it('a directory per model, with the weights beside its specification', async () => {
    await mkdir(join(folder, 'a'))
    await write('a/spec.json', { ...tiny, name: 'a' })
    await write('a/weights.safetensors', '')
    await write('b.safetensors', '')
    const found = await read()
    expect(found.map(describeEntry)).toEqual([
      ['b', 'b.safetensors'],
      ['a', 'a/weights.safetensors'],
    ])
  })

  it.each<readonly [string, Readonly<Record<string, unknown>>, readonly string[]]>([
    [
      'of timm, with safetensors before other formats',
      {
        'config.json': { architecture: 'resnet50' },
        'model.safetensors': '',
        'pytorch_model.bin': '',
        'README.md': '',
      },
      ['resnet50.a1_in1k', 'model.safetensors'],
    ],
    [
      'of transformers with shards',
      {
        ...{ 'config.json': {}, 'preprocessor_config.json': {}, 'tf_model.h5': '', 'extra.safetensors': '' },
        'model.safetensors.index.json': {
          weight_map: { a: 'model-1.safetensors', b: 'model-2.safetensors' },
        },
        ...{ 'model-1.safetensors': '', 'model-2.safetensors': '' },
      },
      ['resnet50.a1_in1k', 'model.safetensors.index.json', 'model-1.safetensors', 'model-2.safetensors'],
    ],
    [
      'of TensorFlow.js',
      {
        'model.json': { weightsManifest: [{ paths: ['group1-shard1of1.bin'] }] },
        'group1-shard1of1.bin': '',
      },
      ['resnet50.a1_in1k', 'model.json', 'group1-shard1of1.bin'],
    ],
    ['with one file', { 'state.pth': '' }, ['resnet50.a1_in1k', 'state.pth']],
    [
      'with several kinds of one model',
      { 'model.keras': '', 'weights.h5': '' },
      ['resnet50.a1_in1k', 'model.keras'],
    ],
    [
      'with a partial specification',
      { 'spec.json': { classes: 10 }, 'a.pt': '' },
      ['resnet50.a1_in1k', 'a.pt'],
    ],
    [
      'with a name',
      { 'spec.json': { name: 'photographs' }, 'config.json': {}, 'a.safetensors': '' },
      ['photographs', 'a.safetensors'],
    ],
  ])('a model folder %s', async (_, files, [name, ...weights]) => {
    const model = 'resnet50.a1_in1k'
    await mkdir(join(folder, model, 'onnx'), { recursive: true })
    await write(`${model}/onnx/config.json`, {})
    for (const [file, content] of Object.entries(files)) await write(`${model}/${file}`, content)
    const wanted = [[name, ...weights.map((file) => `${model}/${file}`)]]
    expect((await read()).map(describeEntry)).toEqual(wanted)
    // KServe fills the folder of PRELOAD itself.
    if (!('state.pth' in files)) expect((await read(join(folder, model))).map(describeEntry)).toEqual(wanted)
  })

  it('several files without a generic name are ambiguous', async () => {
    await write('config.json', {})
    for (const file of ['a.pth', 'b.pth']) await write(file, '')
    await expect(read()).rejects.toThrow(
      /contains several weights files of one model: a\.pth, b\.pth; keep one/,
    )
  })
})

describe('an error names the file and the field:', () => {
  const refused = async (files: Readonly<Record<string, unknown>>): Promise<string> => {
    for (const [name, given] of Object.entries(files)) await write(name, given)
    return read().then(
      () => 'no error',
      (error: unknown) => (error as Error).message,
    )
  }
  it.each([
    ['a.json: #/name is required', { 'a.json': tiny }],
    ['a.json: #/name must be 1 to 100', { 'a.json': { ...tiny, name: 'a b' } }],
    [
      'a.json: #/sed is not a known field; did you mean "seed"?',
      { 'a.json': { ...tiny, name: 'a', sed: 1 } },
    ],
    [
      'a.json: #/1/seed must be integer',
      {
        'a.json': [
          { ...tiny, name: 'a' },
          { ...tiny, name: 'b', seed: '1' },
        ],
      },
    ],
    ['a.json: # must be object', { 'a.json': '7' }],
    ['a.json: is not JSON: ', { 'a.json': '{' }],
    ['b.json: #/name x is also in ', { 'a.json': { ...tiny, name: 'x' }, 'b.json': { ...tiny, name: 'x' } }],
    ['it contains no *.json', {}],
    [
      'a.json: #/architecture "resnet51" is not a preset',
      { 'a.json': { architecture: 'resnet51', name: 'a' } },
    ],
  ])('%s', async (sentence, files) => {
    expect(await refused(files)).toContain(sentence)
  })

  const makeHuge = async (path: string): Promise<void> => {
    await writeFile(path, '')
    await truncate(path, 2 ** 40)
  }
  const special: readonly (readonly [string, (path: string) => Promise<unknown>])[] = [
    ['it is a FIFO, not a file', makeFifo],
    ['it is a device, not a file', (path) => symlink('/dev/zero', path)],
    ['it is a symbolic link to itself', (path) => symlink(path, path)],
    ['there is no such file or folder', (path) => symlink('nowhere', path)],
    ['it has 1099511627776 bytes, the limit is ', makeHuge],
  ]
  it.each(special)('%s', async (sentence, make) => {
    for (const name of ['a.json', 'a.safetensors']) {
      await make(join(folder, name))
      await expect(read()).rejects.toThrow(`${name}: ${sentence}`)
      await expect(read(join(folder, name))).rejects.toThrow(`${name}: ${sentence}`)
      await rm(join(folder, name))
    }
  })

  it('other files are skipped, and a link to the folder itself is followed once', async () => {
    await write('a.json', { ...tiny, name: 'a' })
    await makeFifo(join(folder, 'fifo'))
    await symlink(folder, join(folder, 'self'))
    expect((await read()).map(({ name }) => name)).toEqual(['a'])
  })

  it('a missing path', async () => {
    await expect(read(join(folder, 'none'))).rejects.toThrow(/none: there is no such file or folder/)
  })
})

describe('a service', () => {
  let running: RunningService
  let weights: Buffer
  beforeAll(async () => {
    running = await startService()
    await running.client.create({ ...tiny, seed: 9, name: 'net' })
    weights = (await running.client.get('/v1/models/net/weights')).bytes
    await running.close()
  })
  afterAll(() => running.close())

  it('is not ready before its models, and names the missing ones', async () => {
    await write('a.json', { ...tiny, name: 'a' })
    await write('c.json', { ...tiny, name: 'c' })
    await writeFile(join(folder, 'b.safetensors'), weights)
    running = await startPreloading(folder)
    const preloaded = await whileHalted(running.service.engine.pid, async () => {
      const done = running.service.preload()
      expectProblem(await running.client.get('/readyz'), {
        status: 503,
        code: 'PRELOADING',
        says: /waits for the models of PRELOAD: a, c, b$/,
      })
      return { done }
    })
    await preloaded.done
    expect((await running.client.get('/readyz')).status).toBe(200)
    const models = await Promise.all(
      ['a', 'b'].map(async (name) => (await running.client.get(`/v1/models/${name}`)).json as ModelBody),
    )
    expect(models.map(({ state, weights: how }) => [state, how])).toEqual([
      ['ready', 'initialized'],
      ['ready', 'loaded'],
    ])
    await running.close()
    // Weights that fit no network also stop the start.
    await copyFile(join(folder, 'a.json'), join(folder, 'b.safetensors'))
    running = await startPreloading(folder)
    await expect(running.service.preload()).rejects.toThrow(/b\.safetensors: .*is a configuration/)
    await writeFile(join(folder, 'b.safetensors'), weights.subarray(0, -1))
    await expect(running.service.preload()).rejects.toThrow(/b\.safetensors: .*is not a safetensors file/)
    // The file may be replaced between planning and reading.
    await rm(join(folder, 'b.safetensors'))
    await makeFifo(join(folder, 'b.safetensors'))
    await expect(running.service.preload()).rejects.toThrow(/b\.safetensors: it is a FIFO, not a file/)
  })
})
