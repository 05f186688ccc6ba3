import { describe, expect, test } from 'vitest'
import { codeAndPointers, refusal } from '../support/errors.ts'
import { planned, small } from '../support/requests.ts'

const body = (fields: object, architecture: object = {}) => ({ architecture: small(architecture), ...fields })

function drawn(fields: object, architecture: object = {}) {
  const { initialized } = planned(body(fields, architecture))
  return Object.fromEntries(
    initialized.map(({ name, initializer, seed }) => [name, { class: initializer.class_name, seed }]),
  )
}

describe('initializers', () => {
  test('have the defaults of Keras', () => {
    const classes = Object.entries(drawn({})).map(([name, entry]) => [name.split('/').at(-1), entry.class])
    expect(new Map(classes as [string, string][])).toEqual(
      new Map([
        ['kernel', 'GlorotUniform'],
        ['gamma', 'Ones'],
        ['beta', 'Zeros'],
        ['bias', 'Zeros'],
      ]),
    )
  })

  test('are ordered from general to special; the last override applies', () => {
    const fields = {
      kernel: 'he_normal',
      stem_kernel: 'lecun_normal',
      shortcut_kernel: 'zeros',
      dense_kernel: 'random_normal',
    }
    const overrides = [
      { match: 'stage*/*/conv*/kernel', initializer: 'orthogonal' },
      { match: '**/conv2/kernel', initializer: 'he_uniform' },
      { match: 'head/**', initializer: 'ones' },
    ]
    const classes = (initializers: object) =>
      Object.entries(drawn({ initializers }, { shortcut: 'always' }))
        .filter(([name]) => name.endsWith('/kernel') || name.startsWith('head'))
        .map(([, entry]) => entry.class)
    expect(classes({ ...fields, dense_bias: 'ones' })).toEqual([
      ...['LecunNormal', 'HeNormal', 'HeNormal', 'Zeros', 'RandomNormal', 'Ones'],
    ])
    expect(classes({ ...fields, overrides })).toEqual([
      'LecunNormal',
      'Orthogonal',
      'HeUniform',
      'Zeros',
      'Ones',
      'Ones',
    ])
  })

  test('an asterisk stays within a segment', () => {
    const overrides = (match: string) => ({ initializers: { overrides: [{ match, initializer: 'ones' }] } })
    const error = refusal(() => planned(body(overrides('stage1/*/kernel'))))
    expect(codeAndPointers(error)).toEqual(['INVALID_REQUEST', '#/initializers/overrides/0/match'])
    expect(drawn(overrides('stage1/**/kernel'))['stage1/block1/conv1/kernel']?.class).toBe('Ones')
    expect(refusal(() => planned(body(overrides('**/moving_mean')))).message).toContain(
      'matches no parameter',
    )
  })

  test('number the kernels in creation order, drawn or not, so an override changes no other seed', () => {
    const overrides = [{ match: '**/conv1/kernel', initializer: 'zeros' }]
    const before = drawn({ seed: 7 })
    const after = drawn({ seed: 7, initializers: { overrides } })
    const kernels = Object.keys(before).filter((name) => name.endsWith('/kernel'))
    expect(kernels.map((name) => before[name]?.seed)).toEqual(kernels.map((_, k) => [7, k]))
    for (const name of Object.keys(before)) expect(after[name]?.seed).toEqual(before[name]?.seed)
  })

  test('give other parameters that draw the numbers after the last kernel', () => {
    const seeds = drawn({
      seed: 3,
      initializers: { beta: 'random_normal', gamma: { class_name: 'HeNormal', config: { seed: 9 } } },
    })
    expect(seeds['head/dense/kernel']?.seed).toEqual([3, 3])
    const betas = Object.keys(seeds).filter((name) => name.endsWith('/beta'))
    expect(new Set(betas.map((name) => seeds[name]?.seed[0]))).toEqual(new Set([3]))
    const draws = betas.map((name) => seeds[name]?.seed[1] ?? -1)
    expect(Math.min(...draws)).toBeGreaterThan(3)
    expect(new Set(draws).size).toBe(betas.length)
    expect(seeds['stem/norm/gamma']?.seed).toEqual([9, 0])
  })

  test.each([
    [{ bias: 'orthogonal' }, '#/initializers/bias'],
    [{ stem_kernel: 'identity' }, '#/initializers/stem_kernel'],
    [
      { overrides: [{ match: 'head/dense/bias', initializer: 'identity' }] },
      '#/initializers/overrides/0/initializer',
    ],
    [{ kernel: { class_name: 'HeNormal', config: { gain: 1 } } }, '#/initializers/kernel/config/gain'],
    [{ dense_kernel: 'glorot' }, '#/initializers/dense_kernel'],
    [{ kernels: 'zeros' }, '#/initializers/kernels'],
  ])('%j is rejected at the wrong field', (initializers, pointer) => {
    expect(codeAndPointers(refusal(() => planned(body({ initializers }))))).toEqual([
      'INVALID_REQUEST',
      pointer,
    ])
  })
})

describe('fields that must agree', () => {
  test.each([
    [{ classes: 7 }, {}, '#/classes', 'contradicts head.units (10)'],
    [{ labels: ['a'] }, {}, '#/labels', 'one label per class (10), got 1'],
    [{ labels: 'imagenet' }, {}, '#/labels', 'need 1000 classes, got 10'],
    [{ preprocessing: { mean: [1, 2] } }, {}, '#/preprocessing/mean', 'per channel (3), got 2'],
    [{ preprocessing: { std: [1] } }, {}, '#/preprocessing/std', 'per channel (3), got 1'],
    [{ preprocessing: 'torch' }, { input_shape: [32, 32, 1] }, '#/preprocessing', 'per channel (1), got 3'],
    [{}, { stages: undefined }, '#/architecture/stages', 'is required'],
    [{ seed: 2 ** 53 }, {}, '#/seed', 'must be <='],
    [{ preprocessing: { std: [1, 0, 1] } }, {}, '#/preprocessing/std/1', 'must be > 0, got 0'],
    [{ preprocessing: { std: [1, 1, 1e-50] } }, {}, '#/preprocessing/std/2', 'beyond float32, got 1e-50'],
    [{ preprocessing: { std: [1e39, 1, 1] } }, {}, '#/preprocessing/std/0', 'beyond float32'],
    [
      { preprocessing: { mean: [0, -1e300, 0] } },
      {},
      '#/preprocessing/mean/1',
      'beyond float32, got -1e+300',
    ],
    [
      { preprocessing: { resize: { short_side: 223 } } },
      { input_shape: [224, 300, 3] },
      '#/preprocessing/resize/short_side',
      'at least the shorter side of the input (224), got 223',
    ],
    [{ preprocessing: { resize: { short_side: 9000 } } }, {}, '#/preprocessing/resize/short_side', '8192'],
    [
      { preprocessing: { resize: { interpolation: 'bilinear' } } },
      {},
      '#/preprocessing/resize/short_side',
      'is required',
    ],
    [{ preprocessing: { scale: 1e39 } }, {}, '#/preprocessing/scale', 'beyond float32'],
    [{ labels: [...Array.from('abcdefghi'), '\ud800'] }, {}, '#/labels/9', 'must be well-formed Unicode'],
  ])('%j with %j', (fields, architecture, pointer, words) => {
    const error = refusal(() => planned(JSON.parse(JSON.stringify(body(fields, architecture)))))
    expect(codeAndPointers(error)).toEqual(['INVALID_REQUEST', pointer])
    expect(error.message).toContain(words)
  })

  test('classes may be set in two fields with equal values', () => {
    expect(planned(body({ classes: 10 })).specification.classes).toBe(10)
    expect(planned(body({ classes: 3 }, { head: {} })).specification.architecture.head.units).toBe(3)
    expect(planned({ architecture: 'resnet20' }).specification.classes).toBe(10)
  })

  test("preprocessing has its numbers, and missing ones are none's", () => {
    const of = (preprocessing: unknown) => planned(body({ preprocessing })).specification.preprocessing
    expect(of('caffe')).toEqual({
      scale: 1,
      mean: [103.939, 116.779, 123.68],
      std: [1, 1, 1],
      channel_order: 'bgr',
      resize: null,
    })
    const plain = { mean: [0, 0, 0], std: [1, 1, 1], channel_order: 'rgb', resize: null }
    expect(of({ scale: 0.5 })).toEqual({ scale: 0.5, ...plain })
    expect(of({ resize: { short_side: 256 } })).toEqual({
      ...{ scale: 1, ...plain },
      resize: { short_side: 256, interpolation: 'bilinear' },
    })
    expect(planned(body({})).specification.preprocessing).toEqual(of('torch'))
    expect(planned({ architecture: 'residual_network' }).specification.preprocessing).toEqual(of('none'))
  })

  test('one number applies to all channels', () => {
    const of = (preprocessing: string) =>
      planned(body({ preprocessing }, { input_shape: [32, 32, 4] })).specification.preprocessing
    const plain = { scale: 1, mean: [0, 0, 0, 0], std: [1, 1, 1, 1], channel_order: 'rgb', resize: null }
    expect(of('none')).toEqual(plain)
    expect(of('unit')).toEqual({ ...plain, scale: 1 / 255 })
  })

  test('-0 becomes 0, as in JSON', () => {
    const { specification, id } = planned(
      body({
        seed: -0,
        initializers: {
          bias: { class_name: 'Constant', config: { value: -0 } },
          beta: { class_name: 'RandomNormal', config: { mean: -0, seed: [-0, 1] } },
        },
        preprocessing: { scale: -0, mean: [-0, 0, 0] },
      }),
    )
    // Strict equality distinguishes -0 from 0.
    expect(specification).toStrictEqual(JSON.parse(JSON.stringify(specification)))
    expect(planned(specification).id).toBe(id)
  })

  test('fields are in schema order, whatever the order of the request', () => {
    const { specification } = planned(body({ preprocessing: { std: [1, 1, 1], mean: [1, 1, 1] } }))
    const fields = (value: object) => Object.keys(value).join(' ')
    expect(fields(specification.preprocessing)).toBe('scale mean std channel_order resize')
    const { stages } = planned({ architecture: { stages: [{ filters: 8, blocks: 1 }] } }).specification
      .architecture
    expect(stages.map(fields)).toEqual(['blocks filters strides'])
  })
})
