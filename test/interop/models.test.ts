import { createHash } from 'node:crypto'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ModelBody } from '../support/client.ts'
import { arithmeticImage } from '../support/images.ts'
import { Keras } from '../support/keras.ts'
import { expectLogits, floatsOf } from '../support/numbers.ts'
import { platforms } from '../support/platforms.ts'
import { startProcess, type ServiceProcess } from '../support/process.ts'
import { Choices } from '../support/random.ts'
import { temporaryFolder } from '../support/service.ts'

interface KerasModel {
  readonly weights_sha256: string
  readonly parameter_count: number
  readonly parameters: readonly { readonly name: string; readonly shape: number[]; readonly sha256: string }[]
  readonly logits: string
}

const MODELS = 6
const choices = new Choices()
const kernels = [
  'glorot_uniform',
  'he_normal',
  'lecun_normal',
  'orthogonal',
  { class_name: 'VarianceScaling', config: { scale: 1.5, mode: 'fan_out', distribution: 'uniform' } },
] as const
type Kernel = (typeof kernels)[number]

const random = () => ({
  architecture: {
    version: choices.of('v1', 'v1.5', 'v2'),
    block: choices.of('basic', 'bottleneck'),
    expansion: choices.integer(1, 4),
    stem: {
      kernel_size: choices.of(3, 5, 7),
      filters: choices.integer(3, 24),
      strides: choices.integer(1, 2),
      padding: choices.of('same', 'symmetric'),
      pool: choices.of(null, { type: choices.of('max', 'average'), size: 3, strides: 2, padding: 'same' }),
    },
    stages: Array.from({ length: choices.integer(1, 3) }, () => ({
      blocks: choices.integer(1, 2),
      filters: choices.integer(2, 20),
      strides: choices.integer(1, 2),
    })),
    kernel_size: choices.of(3, 5),
    padding: choices.of('same', 'symmetric'),
    shortcut: choices.of('projection', 'pool', 'always'),
    strides_in: choices.of('first', 'last'),
    use_bias: choices.of<boolean | 'unnormed'>(true, false, 'unnormed'),
    norm: choices.of('batch', 'none'),
    input_shape: [choices.integer(24, 64), choices.integer(24, 64), 3],
  },
  classes: choices.integer(2, 30),
  initializers: {
    kernel: choices.of<Kernel>(...kernels),
    bias: { class_name: 'RandomNormal', config: { stddev: 0.2 } },
    gamma: { class_name: 'RandomUniform', config: { minval: 0.5, maxval: 1.5 } },
    beta: { class_name: 'TruncatedNormal', config: { stddev: 0.1 } },
    overrides: [{ match: 'stage1/**/conv2/kernel', initializer: choices.of<Kernel>(...kernels) }],
  },
  seed: choices.integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  preprocessing: choices.of('torch', 'caffe', 'tf', 'unit'),
})

/** Every second one uses Keras's seeding. */
const specifications = Array.from({ length: MODELS }, (_, index) => {
  const specification = random()
  if (index % 2 === 0) return specification
  return { ...specification, seeding: 'keras', seed: choices.integer(0, 2 ** 32 - 1) }
})
/** Networks with all norms, with and without biases before them. */
const normed = (['v1', 'v1.5', 'v2'] as const).map((version, index) => {
  const specification = random()
  const architecture = { ...specification.architecture, version, norm: 'batch', use_bias: index > 0 }
  return { ...specification, architecture }
})
const imageSeed = choices.integer(0, 250)
let keras: Keras
let files: string
const wanted: KerasModel[] = []
const trained: { readonly weights: Buffer; readonly logits: string }[] = []
beforeAll(async () => {
  keras = new Keras()
  files = await temporaryFolder()
  for (const spec of specifications) {
    wanted.push((await keras.ask({ op: 'model', spec, image_seed: imageSeed })) as KerasModel)
  }
  for (const [seed, spec] of normed.entries()) {
    const path = join(files, `${String(seed)}.safetensors`)
    const request = { op: 'trained', spec, image_seed: imageSeed, seed, path }
    const { logits } = (await keras.ask(request)) as { logits: string }
    trained.push({ weights: await readFile(path), logits })
  }
})
afterAll(async () => {
  await keras.close()
  await rm(files, { recursive: true })
})

describe.each(platforms)('%s', (_, environment) => {
  let folder: string
  let running: ServiceProcess
  beforeAll(async () => {
    folder = await temporaryFolder()
    running = await startProcess({ DATA_DIR: folder, ...environment })
  })
  afterAll(async () => {
    await running.stop()
    await rm(folder, { recursive: true })
  })

  it.each(specifications.map((spec, index) => [JSON.stringify(spec), spec, index] as const))(
    '%s has the same weights and logits as in Keras',
    async (_, spec, index) => {
      const { weights_sha256, parameter_count, logits = '' } = wanted[index] ?? {}
      const { id, spec: resolved } = await running.client.create(spec)
      const model = await running.client.withDigest(id)
      expect([model.weights_sha256, model.parameter_count]).toEqual([weights_sha256, parameter_count])
      const shape = resolved.architecture.input_shape
      const [row = []] = await running.client.logits(id, [1, ...shape], arithmeticImage(shape, imageSeed))
      expectLogits(row, floatsOf(logits))
    },
  )

  it.each(normed.map((spec, index) => [JSON.stringify(spec), spec, index] as const))(
    '%s with trained norms has the same logits as in Keras',
    async (_, spec, index) => {
      const { weights = Buffer.of(), logits = '' } = trained[index] ?? {}
      const answer = await running.client.form('/v1/models', [
        { name: 'spec', value: JSON.stringify(spec) },
        { name: 'weights', value: weights, filename: 'trained.safetensors' },
      ])
      const { id, spec: resolved } = answer.json as ModelBody
      const shape = resolved.architecture.input_shape
      const [row = []] = await running.client.logits(id, [1, ...shape], arithmeticImage(shape, imageSeed))
      expectLogits(row, floatsOf(logits))
    },
  )

  it("exports files that the safetensors package reads, with Keras's tensors", async () => {
    const { id } = await running.client.create(specifications[0] ?? {})
    const { bytes } = await running.client.get(`/v1/models/${id}/weights`)
    const path = join(folder, 'exported.safetensors')
    await writeFile(path, bytes)
    const { tensors, metadata } = (await keras.ask({ op: 'safetensors', path, digests: true })) as {
      tensors: { name: string; shape: number[]; dtype: string; sha256: string }[]
      metadata: Record<string, string>
    }
    const read = new Map(tensors.map((tensor) => [tensor.name, tensor]))
    for (const { name, shape, sha256 } of wanted[0]?.parameters ?? []) {
      expect(read.get(name)).toEqual({ name, shape, dtype: 'F32', sha256 })
    }
    const zeros = (count: number): string =>
      createHash('sha256')
        .update(Buffer.alloc(4 * count))
        .digest('hex')
    for (const { shape, sha256 } of tensors.filter(({ name }) => name.endsWith('moving_mean'))) {
      expect(sha256).toBe(zeros(shape[0] ?? 0))
    }
    expect(metadata).toMatchObject({ format: 'pt', 'resinit.id': id })
  })
})
