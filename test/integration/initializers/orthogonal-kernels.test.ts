import { afterAll, beforeAll, expect, it } from 'vitest'
import type { ModelBody } from '../../support/client.ts'
import { arithmeticImage, valuesOf } from '../../support/images.ts'
import { isometryError } from '../../support/kernels.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { parseSafetensors } from '../../support/safetensors.ts'
import { startService, type RunningService } from '../../support/service.ts'

let running: RunningService
beforeAll(async () => {
  running = await startService()
})
afterAll(() => running.close())

const initializers = {
  kernel: 'delta_orthogonal',
  dense_kernel: { class_name: 'trunc_normal_', config: { std: 0.02 } },
  dense_bias: { class_name: 'constant_initializer', config: { value: [1, 2, 3] } },
  overrides: [
    { match: '**/conv1/kernel', initializer: 'convolutional_orthogonal_2d' },
    { match: '**/conv2/kernel', initializer: 'dirac' },
    {
      match: '**/shortcut/conv/kernel',
      initializer: { class_name: 'ConvolutionOrthogonal2D', config: { gain: 2 } },
    },
  ],
}
const architecture = { ...tiny.architecture, shortcut: 'always' }
const body = { ...tiny, architecture, initializers, seed: 7 }

it("build a network with the catalogue's weights, in the engine too", async () => {
  const model = await running.client.create(body)
  const { bytes } = await running.client.get(`/v1/models/${model.id}/weights`)
  const { tensors } = parseSafetensors(bytes)
  const wanted: [string, string, object][] = [
    ['stem/conv/kernel', 'delta_orthogonal', { seed: [7, 0] }],
    ['stage1/block1/conv1/kernel', 'ConvolutionOrthogonal2D', { seed: [7, 1] }],
    ['stage1/block1/conv2/kernel', 'Dirac', {}],
    ['stage1/block1/shortcut/conv/kernel', 'ConvolutionOrthogonal2D', { seed: [7, 3], config: { gain: 2 } }],
    ['head/dense/kernel', 'trunc_normal_', { seed: [7, 4], config: { std: 0.02 } }],
    ['head/dense/bias', 'constant_initializer', { config: { value: [1, 2, 3] } }],
  ]
  for (const [name, initializer, request] of wanted) {
    const { shape = [], bytes = Buffer.of() } = tensors.get(name) ?? {}
    const path = `/v1/initializers/${initializer}/sample`
    const npy = await running.client.post(path, { shape, ...request }, { accept: 'application/x-npy' })
    expect([name, Buffer.from(valuesOf(npy.bytes).buffer)]).toEqual([name, Buffer.from(bytes)])
  }
  const shortcut = tensors.get('stage1/block1/shortcut/conv/kernel')
  const values = new Float32Array(Uint8Array.from(shortcut?.bytes ?? []).buffer)
  expect(isometryError(values, shortcut?.shape ?? [], 2)).toBeLessThan(1e-5)

  // Loaded, these weights are assigned instead of drawn: the engine's variables are the same to the bit.
  const parts = [
    { name: 'spec', value: JSON.stringify(body) },
    { name: 'weights', value: bytes, filename: 'weights.safetensors' },
  ]
  const loaded = (await running.client.form('/v1/models', parts)).json as ModelBody
  expect(loaded).toMatchObject({ weights: 'loaded', seal: model.seal })
  const shape = [1, 8, 8, 3]
  const logits = (id: string) => running.client.logits(id, shape, arithmeticImage(shape))
  expect(await logits(loaded.id)).toEqual(await logits(model.id))
})

it('keep the negative zeros of an identity with a negative gain: drawn, written and loaded', async () => {
  const dense_kernel = { class_name: 'Identity', config: { gain: -2 } }
  const negative = {
    ...tiny,
    architecture: { ...tiny.architecture, norm: 'none' },
    initializers: { dense_kernel },
  }
  const model = await running.client.create(negative)
  const { bytes } = await running.client.get(`/v1/models/${model.id}/weights`)
  const values = Float32Array.from({ length: 20 }, (_, index) => (index % 6 === 0 ? -2 : -0))
  expect(parseSafetensors(bytes).tensors.get('head/dense/kernel')?.bytes).toEqual(Buffer.from(values.buffer))
  const parts = [{ name: 'weights', value: bytes, filename: 'weights.safetensors' }]
  const loaded = (await running.client.form('/v1/models', parts)).json as ModelBody
  expect(loaded.seal).toBe(model.seal)
})

it('have records: exact, or compared with theory, or neither', async () => {
  const { id } = await running.client.create(body)
  const all = (await running.client.get(`/v1/models/${id}/statistics`)).json as {
    parameters: {
      name: string
      exact: boolean | null
      tests: object | null
      theory: { distribution: string }
    }[]
  }
  const said = all.parameters.map(({ name, exact, tests, theory }) => [
    ...[name, theory.distribution, exact, tests !== null],
  ])
  expect(said.filter(([name]) => !String(name).includes('norm'))).toEqual([
    ['stem/conv/kernel', 'delta_orthogonal', null, false],
    ['stage1/block1/conv1/kernel', 'convolution_orthogonal', null, false],
    ['stage1/block1/conv2/kernel', 'dirac', true, false],
    ['stage1/block1/shortcut/conv/kernel', 'convolution_orthogonal', null, false],
    ['head/dense/kernel', 'bounded_normal', null, true],
    ['head/dense/bias', 'values', true, false],
  ])
})

it.each([
  [
    { kernel: 'delta_orthogonal' },
    '#/initializers/kernel',
    /head\/dense\/kernel: .* rank 3 to 5, got \[4, 5\]/,
  ],
  [
    { overrides: [{ match: '**/conv2/kernel', initializer: 'convolution_orthogonal_1d' }] },
    ...['#/initializers/overrides/0/initializer', /conv2\/kernel: ConvolutionOrthogonal1D needs .* rank 3,/],
  ],
  [
    { dense_bias: { class_name: 'constant_initializer', config: { value: [1, 2, 3, 4, 5, 6] } } },
    ...['#/initializers/dense_bias/config/value', /head\/dense\/bias: Constant has 6 values for 5 entries/],
  ],
  [{ stem_kernel: 'trunc_normal' }, '#/initializers/stem_kernel', /did you mean "trunc_normal_"/],
] as [object, string, RegExp][])('are rejected for unsupported shapes: %j', async (wrong, pointer, says) => {
  const answer = await running.client.post('/v1/plans', { ...tiny, initializers: wrong })
  expectProblem(answer, { status: 422, code: 'INVALID_REQUEST', pointer, says })
})

it('need as many outputs as inputs', async () => {
  const narrow = { ...tiny.architecture, stem: { ...tiny.architecture.stem, filters: 2 } }
  const wrong = { stem_kernel: 'convolution_orthogonal_2d' }
  const answer = await running.client.post('/v1/plans', {
    ...tiny,
    architecture: narrow,
    initializers: wrong,
  })
  const pointer = '#/initializers/stem_kernel'
  const says = /stem\/conv\/kernel: .* from 3 inputs into 2 outputs; .* another initializer/
  expectProblem(answer, { status: 422, code: 'INVALID_REQUEST', pointer, says })
})
