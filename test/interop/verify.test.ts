import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tiny, withScalars } from '../support/networks.ts'
import { ROOT, runPageCommands, runToEnd } from '../support/page-commands.ts'
import { programOf } from '../support/python.ts'
import { startService, temporaryFolder, type RunningService } from '../support/service.ts'

const PROGRAM = join(ROOT, 'openapi/examples/verify.py')
const python = programOf('RESINIT_PYTHON', 'Keras 3 and TensorFlow')

const named = (class_name: string, config: object) => ({ class_name, config })
const without = { ...tiny, architecture: { ...tiny.architecture, norm: 'none' } }
/** All fields that change shapes, names or seeds; laws that Keras has, and laws of TensorFlow alone. */
const networks = {
  application: { architecture: 'resnet50_v2', seeding: 'keras', seed: 7 },
  resnet18: {
    architecture: 'resnet18',
    seed: -1,
    initializers: { kernel: 'he_uniform', dense_kernel: 'lecun_normal' },
  },
  article: {
    architecture: {
      preset: 'residual_network',
      filters: [8, 16],
      strides: [1, 2],
      projection_shortcut: 'auto',
    },
    initializers: { kernel: 'xavier_initializer', bias: 'constant_initializer' },
    classes: 3,
    seed: 2 ** 40 + 7,
  },
  'pre-activation': {
    architecture: {
      ...{
        version: 'v2',
        block: 'bottleneck',
        expansion: 2,
        strides_in: 'last',
        shortcut: ['pool', 'always'],
      },
      stem: { kernel_size: 5, filters: 8 },
      stages: [
        { blocks: 2, filters: 4, strides: 2 },
        { blocks: 1, filters: 8 },
      ],
      ...{ use_bias: 'unnormed', input_shape: [33, 40, 1] },
      head: { pool: { type: 'max', size: 2 } },
    },
    classes: 7,
    labels: ['a', 'b', 'c', 'd', 'ä', '"', '\n'],
    preprocessing: { mean: [1], scale: 1e-21 },
    initializers: {
      kernel: named('VarianceScaling', { scale: 3e-7, mode: 'fan_geo_avg', distribution: 'normal' }),
      bias: named('RandomNormal', { stddev: 0.2 }),
      gamma: named('Constant', { value: [1.5] }),
      beta: named('uniform', { minval: -1e-7, maxval: 1e-7 }),
      overrides: [
        { match: 'stage1/**/kernel', initializer: named('orthogonal', { gain: 1.25 }) },
        { match: '**/conv2/kernel', initializer: 'delta_orthogonal' },
        { match: 'head/dense/kernel', initializer: named('truncated_normal_initializer', { seed: [9, 2] }) },
      ],
    },
  },
  fixup: { ...without, residual_scheme: 'fixup', initializers: { kernel: 'glorot_normal' } },
  scalars: withScalars(tiny),
  lsuv: { ...without, residual_scheme: 'lsuv' },
  torch: {
    ...tiny,
    architecture: { ...tiny.architecture, block: 'bottleneck' },
    initializers: {
      stem_kernel: named('kaiming_uniform_', { a: 2.23606797749979 }),
      kernel: named('kaiming_normal_', { mode: 'fan_out', nonlinearity: 'relu' }),
      shortcut_kernel: named('dirac_', { groups: 2 }),
      dense_kernel: named('xavier_normal_', { gain: 0.7 }),
      dense_bias: named('Constant', { value: [1, 2, 3, 4, 0.5] }),
    },
  },
}

let running: RunningService
let folder: string
beforeAll(async () => {
  running = await startService()
  folder = await temporaryFolder()
})
afterAll(async () => {
  await running.close()
  await rm(folder, { recursive: true })
})

const verify = (...words: string[]) => runToEnd(python, [PROGRAM, ...words])

async function write(name: string, content: object | Buffer): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, Buffer.isBuffer(content) ? content : JSON.stringify(content))
  return path
}

describe.each(Object.entries(networks))('%s', (name, network) => {
  it.each(['keras', 'tensorflow'])('%s draws the weights of the service', async (framework) => {
    const { client } = running
    const { id } = await client.create({ ...network, name })
    const record = await client.withDigest(id)
    const line = `agrees: id ${id}, weights_sha256 ${record.weights_sha256}, `
    // Factors of LSUV are in the record alone.
    const spec = await write(`${name}.json`, name === 'lsuv' ? record : network)
    const weights = (await client.get(`/v1/models/${name}/weights`)).bytes
    const file = await write(`${name}.safetensors`, weights)
    for (const words of [
      [spec, '--weights', file],
      [spec, '--url', `${client.url}/v1/models/${name}`],
    ]) {
      const { code, stdout, stderr } = await verify(...words, '--with', framework)
      expect([code, stdout.slice(0, line.length)], stderr).toEqual([0, line])
    }
  })
})

it('a changed bit, another seed and a wrong file are differences', async () => {
  const { client } = running
  const model = await client.create({ ...tiny, name: 'small' })
  const bytes = Buffer.from((await client.get(`/v1/models/small/weights`)).bytes)
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 40) ^ 1, bytes.length - 40)
  const file = await write('changed.safetensors', bytes)
  const request = await write('tiny.json', tiny)
  const changed = await verify(request, '--weights', file)
  expect(changed.code).toBe(1)
  expect(changed.stdout).toMatch(
    /^head\/dense\/kernel: 1 of 20 values differ, the first at 15: expected .*, got .*\n$/,
  )

  const other = await verify(
    await write('seed.json', { ...tiny, seed: 1 }),
    '--url',
    `${client.url}/v1/models/small`,
  )
  expect(other.code).toBe(1)
  expect(other.stdout).toContain(`, got ${model.id}\n`)
  expect(other.stdout).toMatch(/^stem\/conv\/kernel: expected \w{64}, got \w{64}$/m)

  const wrong = await verify(await write('wide.json', { ...tiny, classes: 6 }), '--weights', file)
  expect(wrong.code).toBe(1)
  expect(wrong.stdout).toContain('head/dense/bias: expected F32 [6], got F32 [5]\n')
})

it('without a comparison it exits with 2 and the cure', async () => {
  const kernel = { initializers: { kernel: 'trunc_normal_' } }
  for (const [words, message] of [
    [[await write('request.json', tiny)], 'There is nothing to compare: give a record'],
    [
      [await write('own.json', { ...tiny, ...kernel })],
      'TorchTruncNormal has no equivalent in Keras or TensorFlow',
    ],
    [[await write('new.json', { ...tiny, color: 1 })], '#/color is not a field that this program knows'],
    [[await write('lsuv-request.json', networks.lsuv)], 'the service measures the factors of lsuv'],
    [[join(folder, 'absent.json')], 'give a file with a specification or a record'],
    [[], 'usage: verify.py'],
  ] as const) {
    const { code, stderr } = await verify(...words)
    expect(code).toBe(2)
    expect(stderr).toContain(message)
  }
})

it('the commands of docs/verify.md print what it shows', async () => {
  const own = await temporaryFolder()
  const count = await runPageCommands('docs/verify.md', 'test/interop/verify.test.ts', {
    folder: own,
    env: { RESINIT: running.client.url },
    replace: (command) =>
      command.replaceAll('python3 openapi/examples/verify.py', `'${python}' '${PROGRAM}'`),
  })
  expect(count).toBe(1)
  await rm(own, { recursive: true })
})
