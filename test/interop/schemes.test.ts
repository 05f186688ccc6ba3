import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sizeOf } from '../../src/initializers/fans.ts'
import { blockMeanSquares } from '../../src/network/mean-field.ts'
import { planRequest } from '../../src/network/plan.ts'
import type { SpecificationRequest } from '../../src/network/specification.ts'
import type { ModelBody } from '../support/client.ts'
import { arithmeticImage } from '../support/images.ts'
import { Keras } from '../support/keras.ts'
import { expectLogits, floatsOf } from '../support/numbers.ts'
import { startProcess } from '../support/process.ts'
import { startService, temporaryFolder, type RunningService } from '../support/service.ts'

const IMAGE_SEED = 3
const basic = {
  stem: { kernel_size: 3, filters: 12, strides: 1, pool: null },
  stages: [
    { blocks: 2, filters: 12, strides: 1 },
    { blocks: 2, filters: 20, strides: 2 },
  ],
  input_shape: [32, 28, 3],
}
const bottleneck = { ...basic, block: 'bottleneck', expansion: 2, padding: 'symmetric' }
const v2 = { ...basic, version: 'v2' }
/** Non-zero biases reveal the positions of a scheme's scalars. */
const bias = { class_name: 'RandomNormal', config: { stddev: 0.2 } }
const random = (stddev: number) => ({ class_name: 'RandomNormal', config: { mean: 0.4, stddev } })
/** Overrides that open the branches, so that logits depend on their contents. */
const opened = (match: string) => ({ match, initializer: random(0.3) })
const none = (architecture: object) => ({ ...architecture, norm: 'none' })

const specifications = [
  { architecture: basic, residual_scheme: 'zero_gamma' },
  { architecture: { ...bottleneck, version: 'v1' }, residual_scheme: 'zero_gamma' },
  { architecture: none(basic), residual_scheme: 'fixup' },
  {
    architecture: none(bottleneck),
    residual_scheme: 'fixup',
    initializers: {
      ...{ kernel: 'glorot_uniform', dense_kernel: 'he_normal' },
      overrides: [
        opened('**/multiplier'),
        opened('**/offset'),
        { match: '**/conv3/kernel', initializer: 'he_normal' },
      ],
    },
  },
  ...[basic, { ...bottleneck, shortcut: 'always' }, v2].flatMap((architecture) =>
    ['skipinit', 'rezero'].flatMap((residual_scheme) =>
      [[], [opened('**/multiplier')]].map((overrides) => ({
        ...{ architecture: none(architecture), residual_scheme },
        initializers: { kernel: 'he_normal', bias, overrides },
      })),
    ),
  ),
].map((spec, seed) => ({ classes: 7, preprocessing: 'torch', seed, ...spec }))

const unitVariance = [
  { architecture: none(basic), residual_scheme: 'lsuv' },
  {
    architecture: none(bottleneck),
    residual_scheme: 'lsuv',
    initializers: { kernel: 'glorot_uniform', bias },
  },
  { architecture: none(v2), residual_scheme: 'lsuv', initializers: { kernel: random(1) } },
].map((spec, seed) => ({ classes: 40, preprocessing: 'unit', seed, ...spec }))

let keras: Keras
let running: RunningService
let files: string
beforeAll(async () => {
  keras = new Keras()
  files = await temporaryFolder()
  running = await startService()
})
afterAll(async () => {
  await keras.close()
  await running.close()
  await rm(files, { recursive: true })
})

interface KerasModel {
  readonly weights_sha256: string
  readonly parameter_count: number
  readonly logits: string
}

async function expectAsInKeras(spec: object, factors?: Record<string, number>): Promise<ModelBody> {
  const { client } = running
  const { id, spec: resolved } = await client.create(spec)
  const request = { op: 'model', spec, image_seed: IMAGE_SEED, factors }
  const wanted = (await keras.ask(request)) as KerasModel
  const model = await client.withDigest(id)
  expect([model.weights_sha256, model.parameter_count]).toEqual([
    wanted.weights_sha256,
    wanted.parameter_count,
  ])
  await expectLogitsOf(id, resolved.architecture.input_shape, wanted.logits)
  return model
}

async function expectLogitsOf(id: string, shape: readonly number[], wanted: string): Promise<void> {
  const [row = []] = await running.client.logits(id, [1, ...shape], arithmeticImage(shape, IMAGE_SEED))
  const logits = floatsOf(wanted)
  // Initial logits of fixup.
  if (logits.every((logit) => logit === 0)) expect(row).toEqual(logits)
  else expectLogits(row, logits)
}

const named = <S extends object>(specs: readonly S[]) =>
  specs.map((spec) => [JSON.stringify(spec), spec] as const)

describe('a residual scheme', () => {
  it.each(named(specifications))('%s has the same weights and logits as in Keras', async (_, spec) => {
    await expectAsInKeras(spec)
  })

  it.each(named(specifications))(
    '%s has the logits of a trained model and exports its weights',
    async (_, spec) => {
      const { client } = running
      const path = join(files, `${String(spec.seed)}.safetensors`)
      const request = { op: 'trained', spec, image_seed: IMAGE_SEED, seed: spec.seed, path }
      const { logits } = (await keras.ask(request)) as { logits: string }
      const loaded = await client.form('/v1/models', [
        { name: 'spec', value: JSON.stringify(spec) },
        { name: 'weights', value: await readFile(path), filename: 'trained.safetensors' },
      ])
      const { id, spec: resolved } = loaded.json as ModelBody
      await expectLogitsOf(id, resolved.architecture.input_shape, logits)
      const { bytes } = await client.get(`/v1/models/${id}/weights`)
      const again = await client.form('/v1/models', [
        { name: 'weights', value: bytes, filename: 'again.safetensors' },
      ])
      expect((again.json as ModelBody).id).toBe(id)
    },
  )

  it.each(named(unitVariance))(
    '%s gives variances of 1 in Keras, with equal weights and logits',
    async (_, spec) => {
      const { id } = await running.client.create(spec)
      const { scheme } = (await running.client.get(`/v1/models/${id}`)).json as ModelBody
      const factors = Object.fromEntries(
        (scheme?.measured ?? []).map(({ kernel, factor }) => [kernel, factor]),
      )
      await expectAsInKeras(spec, factors)
      const request = { op: 'variances', spec, factors, images: 64, seed: spec.seed }
      const { variances } = (await keras.ask(request)) as { variances: Record<string, number> }
      expect(Object.keys(variances).sort()).toEqual(Object.keys(factors).sort())
      for (const [kernel, variance] of Object.entries(variances)) {
        expect(Math.abs(variance - 1), kernel).toBeLessThan(0.1)
      }
    },
  )
})

const planned = (spec: object) => planRequest(spec as SpecificationRequest, Number.MAX_SAFE_INTEGER)

describe('advice', () => {
  interface Start {
    readonly mean_squares: readonly number[]
    readonly silent: readonly string[]
  }

  it.each([
    ['v1.5', 'he_normal', 'projection'],
    ['v1.5', 'glorot_uniform', 'projection'],
    ['v1.5', 'glorot_uniform', 'always'],
    ['v2', 'he_normal', 'projection'],
  ])(
    '%s, %s, %s: has the mean squares of mean-field theory, within the accuracy of width 48',
    async (version, kernel, shortcut) => {
      const stages = [{ blocks: 6, filters: 48, strides: 1 }]
      const stem = { kernel_size: 3, filters: 48, strides: 1, pool: null }
      const architecture = { version, stem, stages, shortcut, norm: 'none', input_shape: [64, 64, 3] }
      const spec = { architecture, classes: 10, initializers: { kernel } }
      const { specification, initialized } = planned(spec)
      const wanted = blockMeanSquares(specification, initialized) ?? []
      const starts: Start[] = []
      for (const seed of [1, 2, 3])
        starts.push((await keras.ask({ op: 'start', spec: { ...spec, seed }, images: 2, seed })) as Start)
      expect(wanted).toHaveLength(6)
      for (const [block, value] of wanted.entries()) {
        const mean = starts.reduce(
          (sum, { mean_squares }) => sum + (mean_squares[block] ?? NaN) / starts.length,
          0,
        )
        expect(mean / value, `block ${String(block + 1)}`).toBeGreaterThan(1 / 2.5)
        expect(mean / value, `block ${String(block + 1)}`).toBeLessThan(2.5)
      }
    },
  )

  it.each(
    named([
      { architecture: basic, residual_scheme: 'zero_gamma' },
      { architecture: none(bottleneck), residual_scheme: 'fixup' },
      {
        architecture: none(bottleneck),
        residual_scheme: 'fixup',
        initializers: { dense_kernel: 'he_normal' },
      },
      { architecture: none(v2), residual_scheme: 'skipinit' },
      { architecture: none(basic), residual_scheme: 'rezero' },
    ]),
  )('%s: reports the share of weights with a gradient of exactly 0', async (_, fields) => {
    const spec = { classes: 7, initializers: { kernel: 'he_normal' }, ...fields }
    const { initialized, advice } = planned(spec)
    const { silent } = (await keras.ask({ op: 'start', spec, images: 4, seed: 0 })) as Start
    const kernels = initialized.filter(({ role }) => role === 'kernel')
    const total = (names: readonly string[]) =>
      kernels.filter(({ name }) => names.includes(name)).reduce((sum, { shape }) => sum + sizeOf(shape), 0)
    const share = (100 * total(silent)) / total(kernels.map(({ name }) => name))
    expect(share).toBeGreaterThan(0)
    expect(advice.join()).toContain(`At the first step ${share.toFixed(1)} % of the kernels' weights`)
  })
})

describe('factors of lsuv', () => {
  it('do not depend on the convolution kernels', async () => {
    const spec = { architecture: { preset: 'resnet20', norm: 'none' }, residual_scheme: 'lsuv' }
    const measured: (readonly [string | null, unknown])[] = []
    for (const environment of [{}, { TF_ENABLE_ONEDNN_OPTS: '0' }]) {
      const process = await startProcess({
        DATA_DIR: join(files, `lsuv${String(measured.length)}`),
        ...environment,
      })
      const { seal, scheme } = await process.client.create(spec)
      measured.push([seal, scheme?.measured?.map(({ kernel, factor }) => [kernel, factor])])
      await process.stop()
    }
    expect(measured[1]).toEqual(measured[0])
  })
})
