import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { FittedTensor, FittedWeights } from '../../../src/analysis/contract.ts'
import type { Answer } from '../../support/client.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { Choices } from '../../support/random.ts'
import { writeDtypes } from '../../support/safetensors.ts'
import { startService, type RunningService } from '../../support/service.ts'
import { stagedIn } from '../../support/staging.ts'

const PATH = '/v1/weights/statistics'
const OCTETS = 'application/octet-stream'
const choices = new Choices()

let running: RunningService
beforeAll(async () => {
  running = await startService({ MAX_MODEL_PARAMETERS: '100000', MAX_BODY_BYTES: '1048576' })
})
afterAll(() => running.close())
afterEach(async () => {
  // No temporary files remain, whatever the response.
  expect(await stagedIn(running.dataDir)).toEqual([])
})

function fitted(answer: Answer): FittedWeights {
  expect(answer.status, answer.bytes.toString().slice(0, 500)).toBe(200)
  return answer.json as FittedWeights
}
async function fitsOf(file: Buffer, query = ''): Promise<Map<string, FittedTensor>> {
  const { parameters } = fitted(await running.client.upload(`${PATH}${query}`, file, OCTETS))
  return new Map(parameters.map((tensor) => [tensor.name, tensor]))
}
/** Verdict and best initializer, in short. */
function short({ verdict, candidates: [best] }: FittedTensor) {
  return [verdict, best?.initializer.class_name, best?.initializer.config]
}

function values(count: number, draw: () => number): Buffer {
  return Buffer.from(Float32Array.from({ length: count }, draw).buffer)
}
const uniform = (limit: number) => () => limit * (2 * choices.unit() - 1)
/** Normal values by the Box-Muller transform. */
const normal = (std: number) => () =>
  std * Math.sqrt(-2 * Math.log(1 - choices.unit())) * Math.cos(2 * Math.PI * choices.unit())
const f32 = (shape: number[], draw: () => number) => ({
  dtype: 'F32',
  shape,
  bytes: values(
    shape.reduce((product, size) => product * size, 1),
    draw,
  ),
})

describe('initializers of a weights file', () => {
  it("are torch's, with its layout and its biases", async () => {
    const fan = 1 / Math.sqrt(64 * 9)
    const file = writeDtypes({
      'conv.weight': f32([32, 64, 3, 3], normal(Math.sqrt(2 / (32 * 9)))),
      'other.weight': f32([48, 64, 3, 3], uniform(fan)),
      'other.bias': f32([48], uniform(fan)),
      'fc.weight': f32([400, 64], uniform(1 / 8)),
      'fc.bias': f32([400], uniform(1 / 8)),
      'bn.weight': f32([32], () => 1),
      'bn.bias': f32([32], () => 0),
      'bn.num_batches_tracked': { dtype: 'I64', shape: [], bytes: Buffer.alloc(8) },
    })
    const fits = await fitsOf(file)
    const found = Object.fromEntries([...fits].map(([name, tensor]) => [name, short(tensor)]))
    const standard = { scale: 1 / 3, mode: 'fan_in', distribution: 'uniform' }
    expect(found).toMatchObject({
      'conv.weight': [
        'fresh',
        'VarianceScaling',
        { scale: 2, mode: 'fan_out', distribution: 'untruncated_normal' },
      ],
      'other.weight': ['fresh', 'VarianceScaling', standard],
      'other.bias': ['undecided', 'RandomUniform', { minval: -fan, maxval: fan }],
      'fc.weight': ['fresh', 'VarianceScaling', standard],
      'fc.bias': ['fresh', 'RandomUniform', { minval: -1 / 8, maxval: 1 / 8 }],
      'bn.weight': ['constant', 'Ones', {}],
      'bn.bias': ['constant', 'Zeros', {}],
      'bn.num_batches_tracked': ['constant', 'Zeros', {}],
    })
    const best = fits.get('conv.weight')?.candidates[0]
    expect(best?.std_ratio).toBeCloseTo(1, 1)
    expect(best?.p_value).toBeGreaterThan(1e-5)
    expect(fits.get('other.bias')?.note).toMatch(/too small/)
    // The other layout has other fans, and no candidate fits.
    const keras = await fitsOf(file, '?layout=keras')
    expect(keras.get('conv.weight')?.candidates[0]).not.toMatchObject({ initializer: best?.initializer })
  })

  it('are this service’s own', async () => {
    const overrides = [
      { match: '**/conv1/kernel', initializer: 'ConvolutionOrthogonal2D' },
      { match: '**/conv2/kernel', initializer: 'orthogonal' },
    ]
    const architecture = {
      ...tiny.architecture,
      stem: { ...tiny.architecture.stem, filters: 32 },
      stages: [{ blocks: 1, filters: 32 }],
    }
    await running.client.create({
      ...tiny,
      architecture,
      initializers: { kernel: 'he_normal', overrides },
      name: 'own',
    })
    const { bytes } = await running.client.get('/v1/models/own/weights')
    const { layout, parameters } = fitted(
      await running.client.form(PATH, [{ name: 'weights', value: bytes, filename: 'w' }]),
    )
    expect(layout).toBe('keras')
    const found = Object.fromEntries(parameters.map((tensor) => [tensor.name, short(tensor)]))
    expect(found).toMatchObject({
      'stem/conv/kernel': ['fresh', 'HeNormal', {}],
      'stage1/block1/conv1/kernel': ['fresh', 'ConvolutionOrthogonal2D', { gain: 1 }],
      'stage1/block1/conv2/kernel': ['fresh', 'Orthogonal', { gain: 1 }],
      'stage1/block1/norm1/gamma': ['constant', 'Ones', {}],
      'stem/norm/moving_variance': ['constant', 'Ones', {}],
    })
    // Also with torch's axes.
    const turned = await running.client.get('/v1/models/own/weights?names=torchvision')
    const fits = await fitsOf(turned.bytes)
    expect(Object.fromEntries([...fits].map(([name, tensor]) => [name, short(tensor)]))).toMatchObject({
      'layer1.0.conv1.weight': ['fresh', 'ConvolutionOrthogonal2D', { gain: 1 }],
      'layer1.0.conv2.weight': ['fresh', 'Orthogonal', { gain: 1 }],
    })
  })

  it('are trained after small changes of many entries or large ones in few directions', async () => {
    const draw = normal(Math.sqrt(2 / 256))
    const [left, right] = [normal(1), normal(1)].map((one) => Float32Array.from({ length: 256 }, one))
    const along = (index: number) => (left?.[Math.floor(index / 256)] ?? 0) * (right?.[index % 256] ?? 0)
    let index = 0
    const fits = await fitsOf(
      writeDtypes({
        'a/kernel': f32([256, 256], draw),
        'scaled/kernel': f32([256, 256], () => 1.03 * draw()),
        // Adds about 1 % to the variance, in one direction.
        'direction/kernel': f32([256, 256], () => draw() + 0.01 * along(index++)),
        'small/kernel': f32([20, 20], normal(0.05)),
      }),
    )
    expect([...fits.values()].map(({ verdict }) => verdict)).toEqual([
      'undecided',
      'trained',
      'trained',
      'undecided',
    ])
    expect(fits.get('scaled/kernel')?.candidates[0]?.std_ratio).not.toBeNull()
  })

  it('stay fresh beside trained ones only if a small step would be visible', async () => {
    const limit = Math.sqrt(6 / 512)
    let index = 0
    const fits = await fitsOf(
      writeDtypes({
        'trained/bias': f32([512], normal(0.013)),
        'uniform/kernel': f32([256, 256], uniform(limit)),
        'normal/kernel': f32([256, 256], normal(Math.sqrt(2 / 256))),
        'small/kernel': f32([64, 64], uniform(Math.sqrt(6 / 128))),
        // A tenth of the deviation, in every entry or in a few, leaves the bounds. A thousandth less in every entry is
        // what another gain of the initializer would give.
        'moved/kernel': f32([256, 256], () => uniform(limit)() + normal(0.1 * 0.577 * limit)()),
        'decayed/kernel': f32([256, 256], () => 0.999 * uniform(limit)()),
        'few/kernel': f32([256, 256], () => (index++ % 4096 === 0 ? 1.5 : 1) * uniform(limit)()),
      }),
    )
    expect([...fits].map(([name, { verdict, note }]) => [name, verdict, note])).toEqual([
      ['trained/bias', 'trained', undefined],
      ['uniform/kernel', 'fresh', undefined],
      ['normal/kernel', 'undecided', expect.stringContaining('a small training step would not be visible')],
      ['small/kernel', 'undecided', expect.stringContaining('too small for a verdict')],
      ['moved/kernel', 'trained', undefined],
      [
        'decayed/kernel',
        'undecided',
        expect.stringContaining('a standard deviation that no known initializer has'),
      ],
      ['few/kernel', 'trained', undefined],
    ])
  })

  it('are fresh under the rules that only one framework has', async () => {
    const limit = Math.sqrt(6 / (128 + 128))
    const gates = Float32Array.from({ length: 512 }, (_, i) => (i >= 128 && i < 256 ? 1 : 0))
    const bound = 1 / Math.sqrt(128)
    const attention = await fitsOf(
      writeDtypes({
        'query/kernel': f32([128, 8, 16], uniform(limit)),
        'out/kernel': f32([8, 16, 128], normal(1 / Math.sqrt(128))),
        'lstm/bias': { dtype: 'F32', shape: [512], bytes: Buffer.from(gates.buffer) },
        step: { dtype: 'I64', shape: [2], bytes: Buffer.from(BigInt64Array.of(3n, 4n).buffer) },
      }),
    )
    expect([...attention.values()].map(short)).toEqual([
      ['fresh', 'GlorotUniform', {}],
      ['fresh', 'VarianceScaling', { scale: 1, mode: 'fan_in', distribution: 'untruncated_normal' }],
      ['fresh', undefined, undefined],
      ['undecided', undefined, undefined],
    ])
    const recurrent = await fitsOf(
      writeDtypes({
        'lstm.weight_ih_l0': f32([512, 40], uniform(bound)),
        'lstm.bias_hh_l0': f32([512], uniform(bound)),
        'embed.weight': f32([400, 64], normal(1)),
        'other.weight': f32([400, 64], normal(0.0043)),
      }),
    )
    const drawn = ['fresh', 'RandomUniform', { minval: -bound, maxval: bound }]
    expect([...recurrent.values()].slice(0, 2).map(short)).toEqual([drawn, drawn])
    expect(recurrent.get('other.weight')).toMatchObject({
      ...{ verdict: 'undecided', note: expect.stringContaining('like independent draws') as string },
    })
  })

  it('are fresh although trunc_normal_ of torch clips one value in millions to its bound', async () => {
    const drawn = () => f32([128, 256], normal(0.02))
    const stray = drawn()
    stray.bytes.writeFloatLE(-2, 4 * 1000)
    const outlier = drawn()
    outlier.bytes.writeFloatLE(-1.9, 4 * 1000)
    const fits = await fitsOf(writeDtypes({ 'a.weight': stray }))
    expect([...fits.values()].map(short)).toEqual([['fresh', 'RandomNormal', { mean: 0, stddev: 0.02 }]])
    expect(fits.get('a.weight')?.sample?.min).toBe(-2)
    expect((await fitsOf(writeDtypes({ 'a.weight': outlier }))).get('a.weight')?.verdict).toBe('trained')
  })

  it('are fresh where they were rounded, and not trained where they were pruned or quantized', async () => {
    const half = (value: number): number => {
      const unit = 2 ** (Math.floor(Math.log2(Math.abs(value))) - 10)
      return Math.round(value / unit) * unit
    }
    const limit = Math.sqrt(6 / 512)
    const fits = await fitsOf(
      writeDtypes({
        'half/kernel': f32([256, 256], () => half(uniform(limit)())),
        'few/kernel': f32([256, 256], () => (Math.round(uniform(7.5)()) * limit) / 7),
        'pruned/kernel': f32([256, 256], () => {
          const value = normal(0.05)()
          return Math.abs(value) < 0.02 ? 0 : value
        }),
      }),
    )
    expect([...fits].map(([name, { verdict, note }]) => [name, verdict, note])).toEqual([
      ['half/kernel', 'fresh', undefined],
      ['few/kernel', 'undecided', expect.anything()],
      ['pruned/kernel', 'undecided', expect.stringContaining('pruning')],
    ])
  })

  it('are read from supported dtypes, and skipped for others', async () => {
    const half = Buffer.from(Uint16Array.of(0x3c00, 0xc000, 0x7c00, 0x0001).buffer)
    const fits = await fitsOf(
      writeDtypes({
        half: { dtype: 'F16', shape: [4], bytes: half },
        bfloat: { dtype: 'BF16', shape: [2], bytes: Buffer.from(Uint16Array.of(0x3f80, 0xc040).buffer) },
        double: { dtype: 'F64', shape: [2], bytes: Buffer.from(Float64Array.of(0.5, -2).buffer) },
        tiny: { dtype: 'F8_E4M3', shape: [3], bytes: Buffer.alloc(3) },
        nothing: { dtype: 'F32', shape: [0, 4], bytes: Buffer.alloc(0) },
        broken: f32([4], () => NaN),
      }),
    )
    expect(fits.get('half')?.sample).toMatchObject({ min: -2, max: 1, non_finite: 1 })
    expect(fits.get('bfloat')?.sample).toMatchObject({ min: -3, max: 1 })
    expect(fits.get('double')?.sample).toMatchObject({ min: -2, max: 0.5 })
    expect(fits.get('tiny')).toMatchObject({
      sample: null,
      verdict: 'undecided',
      note: 'F8_E4M3 is not supported',
    })
    expect(fits.get('nothing')).toMatchObject({
      verdict: 'undecided',
      candidates: [],
      note: 'the tensor is empty',
    })
    expect(fits.get('broken')).toMatchObject({ verdict: 'undecided', note: '4 values are not finite' })
    expect(fits.get('broken')?.sample).toMatchObject({ mean: 'NaN', non_finite: 4 })
  })

  it('are deterministic structures', async () => {
    const eye = (size: number, at: (row: number, column: number) => number) =>
      Float32Array.from({ length: size * size }, (_, i) => at(Math.floor(i / size), i % size))
    const centre = new Float32Array(4 * 4 * 9)
    for (let d = 0; d < 4; d++) centre[(d * 4 + d) * 9 + 4] = 1
    const fits = await fitsOf(
      writeDtypes({
        'a.weight': {
          dtype: 'F32',
          shape: [5, 5],
          bytes: Buffer.from(eye(5, (r, c) => (r === c ? 2 : 0)).buffer),
        },
        'b.weight': { dtype: 'F32', shape: [4, 4, 3, 3], bytes: Buffer.from(centre.buffer) },
      }),
    )
    expect([...fits.values()].map(short)).toEqual([
      ['fresh', 'Identity', { gain: 2 }],
      ['fresh', 'Dirac', {}],
    ])
  })
})

describe('invalid requests', () => {
  const whole = writeDtypes({ w: f32([4], () => 1) })
  it.each<[string, Buffer | undefined, string | undefined, number, string, RegExp]>([
    ['nothing', undefined, undefined, 400, 'MALFORMED_REQUEST', /empty/],
    ['an empty file', Buffer.alloc(0), OCTETS, 400, 'MALFORMED_REQUEST', /empty/],
    ['no safetensors', Buffer.from('GIF89a, or so'), OCTETS, 422, 'INVALID_WEIGHTS', /not a safetensors/],
    ['a file cut short', whole.subarray(0, -3), OCTETS, 422, 'INVALID_WEIGHTS', /bytes of data/],
    ['a file without tensors', writeDtypes({}), OCTETS, 422, 'INVALID_WEIGHTS', /no tensor/],
    ['JSON', Buffer.from('{}'), 'application/json', 415, 'UNSUPPORTED_MEDIA_TYPE', /octet-stream/],
    ['more than any network', Buffer.alloc(1_600_000), OCTETS, 413, 'BODY_TOO_LARGE', /MAX_MODEL_PARAMETERS/],
  ])('%s', async (_, body, type, status, code, says) => {
    const answer =
      body === undefined
        ? await running.client.send('post', PATH, {})
        : await running.client.upload(PATH, body, type)
    expectProblem(answer, { status, code: code as 'INVALID_WEIGHTS', says })
  })

  it.each([
    ['a form without weights', [{ name: 'spec', value: '{}' }], '#/spec'],
    ['weights that are no file', [{ name: 'weights', value: 'x' }], '#/weights'],
    [
      'weights twice',
      [
        { name: 'weights', value: whole, filename: 'a' },
        { name: 'weights', value: whole, filename: 'b' },
      ],
      '#/weights',
    ],
  ])('%s', async (_, parts, pointer) => {
    expectProblem(await running.client.form(PATH, parts), { status: 422, code: 'INVALID_REQUEST', pointer })
  })

  it('an unknown layout', async () => {
    const answer = await running.client.upload(`${PATH}?layout=kerass`, whole, OCTETS)
    expectProblem(answer, { status: 422, code: 'INVALID_REQUEST', pointer: '#/layout', says: /keras/ })
  })
})
