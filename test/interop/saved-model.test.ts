import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { readFactors } from '../../src/analysis/contract.ts'
import { arithmeticImage, npy } from '../support/images.ts'
import { Keras } from '../support/keras.ts'
import { tiny } from '../support/networks.ts'
import { runProgram } from '../support/python.ts'
import { startService, temporaryFolder, type RunningService } from '../support/service.ts'

let running: RunningService
let keras: Keras
let folder: string
beforeAll(async () => {
  running = await startService()
  keras = new Keras()
  folder = await temporaryFolder()
})
afterAll(async () => {
  await Promise.all([running.close(), keras.close()])
  await rm(folder, { recursive: true })
})

interface Loaded {
  readonly logits: number[][]
  readonly keras_logits: number[][]
  readonly frozen_logits: number[][]
  /** Null for bfloat16, which TensorFlow Lite does not convert. */
  readonly lite_logits: number[][] | null
  readonly variables: number
  /** Variables that are left after a conversion to constants. */
  readonly unfrozen: string[]
  readonly missing: string[]
  readonly different: string[]
  /** Largest difference of each block's sum from Keras's, as a share of its largest value. */
  readonly blocks: Readonly<Record<string, number>>
  readonly all_blocks: string[]
}

const initializers = { kernel: 'he_normal', beta: 'uniform', gamma: 'normal', dense_kernel: 'orthogonal' }
const networks = {
  tiny: { ...tiny, preprocessing: 'torch', initializers },
  'pre-activation': {
    ...tiny,
    architecture: { ...tiny.architecture, version: 'v2' },
    preprocessing: 'caffe',
    initializers,
  },
  lsuv: { ...tiny, architecture: { ...tiny.architecture, norm: 'none' }, residual_scheme: 'lsuv' },
  bfloat16: { ...tiny, preprocessing: 'torch', precision: 'bfloat16', initializers },
  resnet18: { architecture: 'resnet18', seed: 3, initializers: { kernel: 'he_normal' } },
}
/** Shares of the largest value: bfloat16 has 8 bits of precision, and kernels round sums differently. */
const TOLERANCE = { float32: 1e-5, bfloat16: 2e-2 } as const

it.each(
  Object.entries(networks).flatMap(([name, network]) =>
    [false, true].map((loaded) => [`${name}${loaded ? ', loaded' : ''}`, network, loaded] as const),
  ),
)('%s: TensorFlow and Keras give the same logits and the same weights', async (label, network, loaded) => {
  const { client } = running
  const name = label.replaceAll(/\W+/g, '-')
  const drawn = await client.create({ ...network, name: `${name}-drawn` })
  const weights = (await client.get(`/v1/models/${drawn.id}/weights`)).bytes
  if (loaded) {
    const parts = [
      { name: 'spec', value: JSON.stringify({ ...network, name }) },
      { name: 'weights', value: weights, filename: 'weights.safetensors' },
    ]
    expect((await client.form('/v1/models', parts)).status).toBe(201)
  }
  const reference = loaded ? name : `${name}-drawn`
  const shape = [2, ...drawn.spec.architecture.input_shape]
  const pixels = arithmeticImage(shape)
  const root = join(folder, name)
  await mkdir(root)
  const archive = await client.get(`/v1/models/${reference}/savedmodel`)
  expect(archive.status).toBe(200)
  await writeFile(join(root, 'model.tar'), archive.bytes)
  await runProgram('tar', ['-xf', join(root, 'model.tar'), '-C', root])
  await writeFile(join(root, 'images.npy'), npy(shape, pixels))
  const file = join(root, 'weights.safetensors')
  await writeFile(file, weights)
  const [images, blocks] = [join(root, 'images.npy'), join(root, 'blocks.npz')]
  const factors = readFactors(drawn.scheme?.measured ?? [])
  await keras.ask({ op: 'block_sums', spec: drawn.spec, factors, images, path: blocks })
  const lite = drawn.spec.precision === 'float32'
  const request = {
    op: 'saved_model',
    folder: join(root, reference, '1'),
    images,
    weights: file,
    blocks,
    lite,
  }
  const found = (await keras.ask(request)) as Loaded
  expect([found.missing, found.different]).toEqual([[], []])
  const logits = await client.logits(reference, shape, pixels)
  const tolerance = TOLERANCE[drawn.spec.precision]
  expect(found.variables).toBeGreaterThan(0)
  expect(found.unfrozen).toEqual([])
  expect(found.lite_logits === null).toBe(!lite)
  for (const given of [
    found.logits,
    found.keras_logits,
    found.frozen_logits,
    found.lite_logits ?? found.logits,
  ]) {
    for (const [index, row] of logits.entries()) {
      const largest = Math.max(...row.map(Math.abs))
      for (const [at, logit] of row.entries())
        expect(Math.abs(logit - (given[index]?.[at] ?? NaN)) / largest).toBeLessThan(tolerance)
    }
  }
  expect(Object.keys(found.blocks).toSorted()).toEqual(found.all_blocks)
  expect(found.all_blocks).toContain('stage1/block1')
  for (const [block, difference] of Object.entries(found.blocks))
    expect(difference, block).toBeLessThan(tolerance)
})
