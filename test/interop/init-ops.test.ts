import type { Static } from 'typebox'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TensorRecord } from '../../src/http/shared/initializer-schemas.ts'
import { valuesOf } from '../support/images.ts'
import { Keras } from '../support/keras.ts'
import { startService, type RunningService } from '../support/service.ts'

let keras: Keras
let running: RunningService
beforeAll(async () => {
  keras = new Keras()
  running = await startService()
})
afterAll(async () => {
  await running.close()
  await keras.close()
})

/** A tensor of the service in base64. */
async function sample(name: string, body: object): Promise<string> {
  const answer = await running.client.post(`/v1/initializers/${name}/sample`, body, {
    accept: 'application/x-npy',
  })
  return Buffer.from(valuesOf(answer.bytes).buffer).toString('base64')
}

async function recordOf(name: string, body: object): Promise<Static<typeof TensorRecord>> {
  return (await running.client.post(`/v1/initializers/${name}/statistics`, body)).json as Static<
    typeof TensorRecord
  >
}

interface V1 {
  readonly values: string
  readonly bounds: readonly [number, number]
}
const v1 = async (name: string, config: object, shape: readonly number[]): Promise<V1> =>
  (await keras.ask({ op: 'v1', name, config, shape })) as V1

it.each([
  [
    [1, 2.5, -3],
    [2, 4],
  ],
  [
    [
      [1, 2],
      [3, 4],
    ],
    [2, 2],
  ],
  [
    [[[0.1]], [[-7]]],
    [3, 1, 2],
  ],
  [0.1, [5]],
])('constants %j of shape %j equal constants of a TensorFlow v1 graph', async (value, shape) => {
  const { values } = await v1('Constant', { value }, shape)
  expect(await sample('constant_initializer', { shape, config: { value } })).toBe(values)
})

it.each([
  [1, [3, 3, 16, 8]],
  [1.43, [100, 10]],
  [0.7, [6]],
])(
  'uniform_unit_scaling of factor %d and shape %j has the bounds of TensorFlow v1',
  async (factor, shape) => {
    const { bounds } = await v1('UniformUnitScaling', { factor }, shape)
    const { theory } = await recordOf('uniform_unit_scaling', { shape, config: { factor } })
    expect([theory?.min, theory?.max].map((bound) => Math.fround(Number(bound)))).toEqual(bounds)
  },
)

describe('singular values of the convolution, by FFT and SVD', () => {
  it.each([
    ['ConvolutionDeltaOrthogonal', [3, 3, 12, 16], 8],
    ['ConvolutionDeltaOrthogonal', [4, 2, 3, 5, 5], 5],
    ['ConvolutionOrthogonal1D', [5, 12, 16], 11],
    ['ConvolutionOrthogonal2D', [3, 3, 12, 16], 8],
    ['ConvolutionOrthogonal2D', [3, 3, 64, 64], 16],
    ['ConvolutionOrthogonal2D', [1, 1, 12, 16], 4],
    ['ConvolutionOrthogonal2D', [4, 4, 6, 6], 9],
    ['ConvolutionOrthogonal3D', [3, 3, 3, 4, 6], 5],
  ])("%s of shape %j: the gain, as TensorFlow v1's", async (name, shape, size) => {
    const gain = 1.5
    const spectrum = async (values: string) =>
      (await keras.ask({ op: 'operator_spectrum', values, shape, size })) as {
        smallest: number
        largest: number
      }
    const theirs = await spectrum((await v1(name, { gain, seed: 3 }, shape)).values)
    expect([theirs.smallest / gain - 1, theirs.largest / gain - 1].map(Math.abs).every((e) => e < 1e-4)).toBe(
      true,
    )
    const ours = await spectrum(await sample(name, { shape, config: { gain }, seed: 3 }))
    expect(Math.abs(ours.smallest / gain - 1)).toBeLessThan(1e-5)
    expect(Math.abs(ours.largest / gain - 1)).toBeLessThan(1e-5)
  })
})

it.each([
  { mean: 0, std: 1, a: -2, b: 2 },
  { mean: 0.5, std: 2, a: 1, b: 9 },
  { mean: -1, std: 0.25, a: 0.5, b: 3 },
  { mean: 0, std: 0.02, a: -2, b: 2 },
])('trunc_normal_ of %j has its stated distribution', async (config) => {
  const values = await sample('trunc_normal_', { shape: [200_000], config, seed: 11 })
  const { distance } = (await keras.ask({ op: 'bounded_normal', values, ...config })) as { distance: number }
  // One sample in ten thousand exceeds it.
  expect(distance).toBeLessThan(2.22)
})
