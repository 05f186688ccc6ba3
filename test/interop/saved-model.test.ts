import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { arithmeticImage, npy } from '../support/images.ts'
import { tiny } from '../support/networks.ts'
import { programOf, runProgram } from '../support/python.ts'
import { startService, temporaryFolder, type RunningService } from '../support/service.ts'

const SCRIPT = fileURLToPath(new URL('saved_model.py', import.meta.url))

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

interface Loaded {
  readonly logits: number[][]
  readonly keras_logits: number[][]
  readonly missing: string[]
  readonly different: string[]
  readonly blocks: Readonly<Record<string, number[]>>
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
  resnet18: { architecture: 'resnet18', seed: 3, initializers: { kernel: 'he_normal' } },
}

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
  await writeFile(join(root, 'weights.safetensors'), weights)
  const python = programOf('RESINIT_PYTHON', 'test/golden/requirements.txt')
  const args = [
    SCRIPT,
    join(root, reference, '1'),
    join(root, 'images.npy'),
    join(root, 'weights.safetensors'),
  ]
  const found = JSON.parse(await runProgram(python, args)) as Loaded
  expect([found.missing, found.different]).toEqual([[], []])
  const logits = await client.logits(reference, shape, pixels)
  for (const given of [found.logits, found.keras_logits]) {
    for (const [index, row] of logits.entries()) {
      const largest = Math.max(...row.map(Math.abs))
      for (const [at, logit] of row.entries())
        expect(Math.abs(logit - (given[index]?.[at] ?? NaN)) / largest).toBeLessThan(1e-5)
    }
  }
  expect(Object.keys(found.blocks)).toContain('stage1/block1')
})
