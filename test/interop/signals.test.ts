import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Static } from 'typebox'
import type { ModelSignals } from '../../src/http/native/signal-schemas.ts'
import { Keras } from '../support/keras.ts'
import { startService, type RunningService } from '../support/service.ts'

interface KerasSignals {
  readonly loss: number
  readonly variances: readonly number[]
  readonly gradients: readonly number[]
}

const small = {
  stem: { kernel_size: 5, filters: 12, strides: 1 },
  stages: [
    { blocks: 2, filters: 8, strides: 1 },
    { blocks: 2, filters: 12, strides: 2 },
  ],
  input_shape: [32, 24, 3],
}
const symmetric = { type: 'max', size: 3, strides: 2, padding: 'symmetric' }
const initializers = {
  kernel: 'he_normal',
  bias: { class_name: 'RandomNormal', config: { stddev: 0.2 } },
  gamma: { class_name: 'RandomUniform', config: { minval: 0.5, maxval: 1.5 } },
}
const networks = [
  ['training', { architecture: { preset: 'resnet50', input_shape: [64, 64, 3] }, initializers }],
  ['training', { architecture: { ...small, version: 'v2', block: 'bottleneck' }, classes: 7, initializers }],
  ['inference', { architecture: { ...small, stem: { ...small.stem, pool: symmetric } }, initializers }],
  ['training', { architecture: { ...small, padding: 'symmetric', norm: 'none' }, initializers }],
  [
    'training',
    {
      architecture: {
        ...small,
        head: { pool: { type: 'average', size: 3, strides: 1, padding: 'valid' } },
        version: 'v1',
      },
      initializers,
    },
  ],
] as const

let keras: Keras
let running: RunningService
beforeAll(async () => {
  keras = new Keras()
  running = await startService()
})
afterAll(async () => {
  await Promise.all([keras.close(), running.close()])
})

const within = (share: number, given: readonly number[], wanted: readonly number[]): void => {
  expect(given).toHaveLength(wanted.length)
  const worst = Math.max(...wanted.map((value, index) => Math.abs((given[index] ?? NaN) / value - 1)))
  expect(worst).toBeLessThan(share)
}

it.each(networks)('signals in %s of %j equal tf.GradientTape', async (mode, spec) => {
  const seed = 11
  const { id } = await running.client.create({ ...spec, seed: 5 })
  const question = { batch_size: 16, seed, repeats: 1, mode }
  const { json } = await running.client.post(`/v1/models/${id}/signals`, question)
  const signals = json as Static<typeof ModelSignals>
  const request = { op: 'signals', spec: { ...spec, seed: 5 }, batch_size: 16, seed, repeat: 0 }
  const wanted = (await keras.ask({ ...request, training: mode === 'training' })) as KerasSignals
  within(1e-4, [signals.loss], [wanted.loss])
  within(
    1e-4,
    signals.blocks.map(({ activation }) => activation.variance),
    wanted.variances,
  )
  within(
    1e-3,
    signals.blocks.map(({ gradient }) => gradient.l2_norm),
    wanted.gradients,
  )
})
