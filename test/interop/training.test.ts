import { pino } from 'pino'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Analysis, TrainingState } from '../../src/analysis/contract.ts'
import { startAnalysis } from '../../src/analysis/client/analysis-process.ts'
import { drawBatches } from '../../src/experiments/batches.ts'
import { DIGITS } from '../../src/experiments/data.ts'
import digits from '../../src/experiments/digits.json' with { type: 'json' }
import { planSpecification } from '../../src/network/plan.ts'
import { resolveSpecification } from '../../src/network/resolve.ts'
import { sizeOf } from '../../src/initializers/fans.ts'
import { Keras } from '../support/keras.ts'

interface KerasTraining {
  readonly losses: readonly number[]
  readonly accuracy: number
  readonly buffers: Readonly<Record<string, readonly number[]>>
}

let keras: Keras
let analysis: Analysis
beforeAll(async () => {
  keras = new Keras()
  analysis = startAnalysis({ logger: pino({ level: 'silent' }), maxQueue: 1 })
  await analysis.ready()
})
afterAll(async () => {
  await Promise.all([keras.close(), analysis.close()])
})

it("the pictures equal scikit-learn's", async () => {
  const given = (await keras.ask({ op: 'digit_pictures' })) as { images: number[][]; labels: number[] }
  expect(digits.images.map((image) => Array.from(image, (pixel) => parseInt(pixel, 17)))).toEqual(
    given.images,
  )
  expect(Array.from(digits.labels, Number)).toEqual(given.labels)
})

const STEPS = 10
const shape = [...DIGITS.shape]
const small = {
  stem: { kernel_size: 3, filters: 8, strides: 1, pool: null },
  stages: [
    { blocks: 2, filters: 8, strides: 1 },
    { blocks: 1, filters: 16, strides: 2 },
  ],
  input_shape: shape,
} as const
it.each([
  ['with batch norm', { architecture: { preset: 'resnet20', input_shape: shape }, rate: 0.05 }],
  ['without norms', { architecture: { ...small, norm: 'none' }, rate: 0.02 }],
  ['pre-activation', { architecture: { ...small, version: 'v2' }, rate: 0.1 }],
  ['fixup', { architecture: { ...small, norm: 'none' }, residual_scheme: 'fixup', rate: 0.05 }],
] as const)("a training %s equals Keras's", async (_, { rate, ...network }) => {
  const request = {
    ...network,
    classes: 10,
    ...{ initializers: { kernel: 'he_normal' }, preprocessing: 'none', seed: 3 },
  } as const
  const specification = resolveSpecification(request as Parameters<typeof resolveSpecification>[0])
  const batchSize = 32
  const training = { specification, seed: 5, learningRate: rate, momentum: 0.9, batchSize, steps: STEPS }
  const losses: number[] = []
  let state: TrainingState | null = null
  let accuracy: number | null
  do {
    // Parts of one step each; the division of a training does not change its result.
    const part = await analysis.train(training, state, 0)
    ;({ state, accuracy } = part)
    losses.push(...part.losses)
  } while (accuracy === null)
  const batches = Array.from({ length: STEPS }, (_, step) => drawBatches(5, batchSize)(step))
  const wanted = (await keras.ask({
    ...{ op: 'training', spec: request, training: DIGITS.training, batches },
    ...{ learning_rate: rate, momentum: 0.9 },
  })) as KerasTraining

  expect(losses).toHaveLength(STEPS)
  const worst = Math.max(...wanted.losses.map((loss, step) => Math.abs((losses[step] ?? NaN) / loss - 1)))
  expect(worst).toBeLessThan(1e-3)
  expect(Math.abs(accuracy - wanted.accuracy)).toBeLessThan(0.01)
  let offset = 0
  for (const { name, shape: own } of planSpecification(specification).parameters) {
    const size = sizeOf(own)
    const moved = wanted.buffers[name]
    if (moved !== undefined) {
      const values = state.values.subarray(offset, offset + size)
      const far = Math.max(...moved.map((value, index) => Math.abs((values[index] ?? NaN) - value)))
      expect(far, name).toBeLessThan(1e-2 * Math.max(...moved.map(Math.abs)))
    }
    offset += size
  }
})
