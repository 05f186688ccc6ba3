import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { chooseCheckpoints } from '../../../src/network/overflow.ts'
import { planRequest } from '../../../src/network/plan.ts'
import type { SpecificationRequest } from '../../../src/network/specification.ts'
import type { PredictionsBody } from '../../support/client.ts'
import { arithmeticImage, npy } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { startService, type RunningService } from '../../support/service.ts'

let running: RunningService
beforeAll(async () => {
  running = await startService()
})
afterAll(() => running.close())

const orthogonal = (gain: number) => ({ class_name: 'Orthogonal', config: { gain } })
const { architecture } = tiny
const COUNT = 4
const deep = {
  ...architecture,
  stages: [
    { blocks: 6, filters: 8 },
    { blocks: 12, filters: 16, strides: 2 },
  ],
}
/** More blocks than a network with split batches may have. */
const deeper = { ...architecture, stages: [{ blocks: 40, filters: 4 }] }

type Values = Uint8Array | Float32Array

/** For each image of one request: `finite`, and whether all of its logits are finite. */
async function predictionsOf(specification: object, values: Values = arithmeticImage([COUNT, 8, 8, 3])) {
  const { id } = await running.client.create({ ...tiny, ...specification })
  const image = npy([values.length / 192, 8, 8, 3], values)
  const path = `/v1/models/${id}/predict?include=logits`
  const { json } = await running.client.upload(path, image, 'application/x-npy')
  return (json as PredictionsBody).predictions.map(({ finite, logits = [] }) => ({
    finite,
    logits: logits.every((logit) => typeof logit === 'number'),
  }))
}

const all = (finite: boolean) => Array.from({ length: COUNT }, () => finite)
const finiteOf = async (specification: object, values?: Values) =>
  (await predictionsOf(specification, values)).map(({ finite }) => finite)

describe('a prediction is not finite if an intermediate value has overflowed:', () => {
  it.each([
    ['in every kernel', { initializers: { kernel: orthogonal(1e30) } }],
    [
      'without norms',
      { initializers: { kernel: orthogonal(1e30) }, architecture: { ...architecture, norm: 'none' } },
    ],
    [
      'before activation',
      { initializers: { kernel: orthogonal(1e30) }, architecture: { ...architecture, version: 'v2' } },
    ],
    [
      'in bottlenecks',
      { initializers: { kernel: orthogonal(1e30) }, architecture: { ...architecture, block: 'bottleneck' } },
    ],
    ['in bfloat16', { initializers: { kernel: orthogonal(1e30) }, precision: 'bfloat16' }],
    [
      'in a norm',
      { initializers: { kernel: orthogonal(1), gamma: { class_name: 'Constant', config: { value: 1e20 } } } },
    ],
    [
      'in two kernels of a branch',
      {
        initializers: { overrides: [{ match: 'stage1/block1/conv*/kernel', initializer: orthogonal(1e25) }] },
      },
    ],
  ])('%s', async (_where, specification) => {
    expect(await finiteOf(specification)).toEqual(all(false))
  })

  it.each([
    ['v1', 'stage1/block1'],
    ['v1', 'stage1/block6'],
    ['v1', 'stage2/block5'],
    ['v1', 'stage2/block12'],
    ['v2', 'stage1/block1'],
    ['v2', 'stage2/block5'],
  ])('in a deep network of %s, in %s alone, though the logits are finite', async (version, block) => {
    // The rest of the branch multiplies it by 0, so the overflow does not reach the sum.
    const overrides = [
      { match: `${block}/conv1/kernel`, initializer: orthogonal(-1e38) },
      { match: `${block}/conv2/kernel`, initializer: 'zeros' },
    ]
    const specification = {
      architecture: { ...deep, version },
      initializers: { kernel: orthogonal(1), overrides },
    }
    const pixels = new Uint8Array(COUNT * 192).fill(255)
    expect(await finiteOf(specification, pixels)).toEqual(all(false))
  })

  it('for the overflowing images of a batch only', async () => {
    const values = Float32Array.from({ length: COUNT * 192 }, (_, index) =>
      index < 192 || index >= 384 ? 0.5 : 3e38,
    )
    expect(await finiteOf({ seed: 1 }, values)).toEqual([true, false, true, true])
    // A network with checkpoints for its largest activations.
    const specification = { architecture: deeper, initializers: { kernel: orthogonal(1) } }
    expect(await finiteOf(specification, values)).toEqual([true, false, true, true])
  })
})

describe('a prediction is finite', () => {
  it.each([
    ['with every usual initializer', { initializers: { kernel: 'he_normal' } }],
    [
      'without norms',
      { initializers: { kernel: 'he_normal' }, architecture: { ...architecture, norm: 'none' } },
    ],
    ['in a deep network', { initializers: { kernel: 'he_normal' }, architecture: deep }],
    ['in a network with checkpoints', { initializers: { kernel: 'he_normal' }, architecture: deeper }],
    [
      'in a pre-activation network with checkpoints',
      { initializers: { kernel: 'he_normal' }, architecture: { ...deeper, version: 'v2' } },
    ],
    [
      'in a network with a ReLU in its branches',
      {
        initializers: { kernel: 'he_normal' },
        residual_scheme: 'rezero',
        architecture: { ...deeper, norm: 'none' },
      },
    ],
    [
      'in a network in bfloat16',
      { initializers: { kernel: 'he_normal' }, architecture: deeper, precision: 'bfloat16' },
    ],
    ['with large values that do not overflow', { initializers: { kernel: orthogonal(1e8) } }],
    ['with weights of 0', { initializers: { kernel: 'zeros' }, architecture: deeper }],
  ])('%s', async (_how, specification) => {
    expect(await predictionsOf(specification)).toEqual(all(true).map(() => ({ finite: true, logits: true })))
  })
})

it('deeper networks have more checkpoints', () => {
  const count = (specification: SpecificationRequest) =>
    chooseCheckpoints(planRequest(specification, Number.MAX_SAFE_INTEGER).specification).length
  expect(['resnet18', 'resnet20', 'residual_network'].map((architecture) => count({ architecture }))).toEqual(
    [1, 1, 0],
  )
  expect(count({ architecture: 'resnet50' })).toBe(4)
  expect(count({ architecture: deeper })).toBeGreaterThan(1)
})
