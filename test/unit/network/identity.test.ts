import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { presets } from '../../../src/network/architectures.ts'
import { canonicalForm, identify } from '../../../src/network/identity.ts'
import { planned, small } from '../support/requests.ts'

const idOf = (body: unknown) => planned(body).id

/** Fields of every record in the opposite order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, field]) => [name, reversed(field)]),
  )
}

const BASE = { architecture: small() }

describe('an id', () => {
  test.each<[string, object, string]>([
    ['a seed', { seed: 7 }, '"seed":7'],
    ['a step', { architecture: { stages: [{ blocks: 1, filters: 4, strides: 1 }] } }, ''],
    [
      'initializers, without the defaults of their config',
      {
        initializers: {
          kernel: 'truncated_normal_initializer',
          dense_kernel: 'glorot_uniform',
          overrides: [
            {
              match: 'head/**/kernel',
              initializer: { class_name: 'Orthogonal', config: { gain: 1, seed: 3 } },
            },
          ],
        },
      },
      '"initializers":{"dense_kernel":{"class_name":"GlorotUniform","config":{}},"kernel":{"class_name":"TruncatedNormal","config":{"stddev":1}},"overrides":[{"initializer":{"class_name":"Orthogonal","config":{"seed":3}},"match":"head/**/kernel"}]}',
    ],
    ['preprocessing of none', { preprocessing: 'none' }, '"preprocessing":{}'],
    ['no resizing', { preprocessing: { scale: 1, resize: null } }, '"preprocessing":{}'],
    [
      'resizing',
      { preprocessing: { resize: { interpolation: 'bilinear', short_side: 256 } } },
      '"preprocessing":{"resize":{"short_side":256}}',
    ],
    [
      'resizing with another interpolation',
      { preprocessing: { resize: { short_side: 235, interpolation: 'bicubic' } } },
      '"preprocessing":{"resize":{"interpolation":"bicubic","short_side":235}}',
    ],
    [
      'other preprocessing',
      { preprocessing: 'caffe' },
      '"preprocessing":{"channel_order":"bgr","mean":[103.939,116.779,123.68]}',
    ],
  ])('is the digest of the canonical JSON without defaults: %s', (_, fields, text) => {
    const architecture = { stages: [{ blocks: 1, filters: 4 }] }
    const canonical = `{"architecture":{"stages":[{"blocks":1,"filters":4}]}${text === '' ? '' : `,${text}`}}`
    expect(idOf({ architecture, ...fields })).toBe(createHash('sha256').update(canonical).digest('hex'))
  })

  test('equals the id that docs/recipe.md computes by hand', () => {
    const architecture = { stages: [{ blocks: 1, filters: 4 }] }
    expect(idOf({ architecture, initializers: { kernel: 'he_normal' }, seed: 7 })).toBe(
      '458c4b23b0d8a7a4e82588fe4f637c72983ddddfdcd3cea90634bdd8045537ca',
    )
  })

  test('includes fields of pools and stages that differ from their own defaults', () => {
    const architecture = {
      stem: { filters: 32, pool: { strides: 1 } },
      stages: [
        { blocks: 1, filters: 4 },
        { blocks: 2, filters: 8, strides: 2 },
      ],
      head: { pool: { type: 'average', size: 4 } },
    }
    const text =
      '{"architecture":{"head":{"pool":{"size":4}},"stages":[{"blocks":1,"filters":4},{"blocks":2,"filters":8,"strides":2}],"stem":{"filters":32,"pool":{"strides":1}}}}'
    expect(idOf({ architecture })).toBe(createHash('sha256').update(text).digest('hex'))
    const other = { ...architecture, head: { pool: {} }, stem: { pool: null } }
    expect(canonicalForm(planned({ architecture: other }))).toMatchObject({
      architecture: { head: { pool: {} }, stem: { pool: null } },
    })
  })

  test.each([
    ...Object.keys(presets).map((architecture) => ({ architecture })),
    { architecture: small({ norm: 'none' }), preprocessing: 'unit', labels: Array.from('abcdefghij') },
    { architecture: small({ shortcut: ['always'], head: { pool: {} } }), classes: 3, seed: -5 },
  ])('equals the id of its canonical form, sent as a request: %j', (body) => {
    const plan = planned(body)
    expect(idOf(canonicalForm(plan))).toBe(plan.id)
  })

  test.each<[string, object, object]>([
    [
      'an explicit default',
      BASE,
      { ...BASE, seed: 0, precision: 'float32', initializers: { bias: 'zeros' } },
    ],
    ['classes or units', { architecture: small({ head: {} }), classes: 10 }, BASE],
    ['a norm given as a string', BASE, { architecture: small({ norm: 'batch' }) }],
    [
      'preprocessing given by its numbers',
      { ...BASE, preprocessing: 'none' },
      { ...BASE, preprocessing: { scale: 1 } },
    ],
    ['an alias', { ...BASE, initializers: { kernel: 'xavier_initializer' } }, BASE],
    [
      'an alias with defaults of TensorFlow v1, and its config',
      { ...BASE, initializers: { kernel: 'random_normal_initializer' } },
      { ...BASE, initializers: { kernel: { class_name: 'RandomNormal', config: { stddev: 1, mean: 0 } } } },
    ],
    ['an expansion without a bottleneck', { architecture: small({ expansion: 2 }) }, BASE],
    [
      'an epsilon without a norm',
      { architecture: small({ norm: { type: 'none', epsilon: 1 } }) },
      { architecture: small({ norm: 'none' }) },
    ],
    [
      'the default bias without norms',
      { architecture: small({ norm: 'none', use_bias: true }) },
      { architecture: small({ norm: 'none' }) },
    ],
    [
      'a list of one rule',
      { architecture: small({ shortcut: ['always'] }) },
      { architecture: small({ shortcut: 'always' }) },
    ],
    ['strides_in in stages of one block', BASE, { architecture: small({ strides_in: 'last' }) }],
    [
      'use_bias unnormed in a network where every convolution has a norm',
      BASE,
      { architecture: small({ use_bias: 'unnormed' }) },
    ],
    [
      'use_bias unnormed in a network without norms',
      { architecture: small({ norm: 'none', use_bias: 'unnormed' }) },
      { architecture: small({ norm: 'none' }) },
    ],
    ['a preset without overrides', { architecture: { preset: 'resnet18' } }, { architecture: 'resnet18' }],
  ])('is equal for equal networks: %s', (_, first, second) => {
    expect(idOf(first)).toBe(idOf(second))
  })

  test.each<[string, object]>([
    ['the seed', { ...BASE, seed: 1 }],
    ['a negative seed', { ...BASE, seed: -1 }],
    ['an initializer', { ...BASE, initializers: { dense_kernel: 'he_normal' } }],
    [
      'an explicit initializer that equals the general one',
      { ...BASE, initializers: { dense_kernel: 'glorot_uniform' } },
    ],
    [
      'the order of overrides',
      {
        ...BASE,
        initializers: { overrides: ['zeros', 'ones'].map((initializer) => ({ match: '**', initializer })) },
      },
    ],
    ['labels', { ...BASE, labels: Array.from('abcdefghij') }],
    ['preprocessing', { ...BASE, preprocessing: 'tf' }],
    ['a shape', { architecture: small({ input_shape: [32, 33, 3] }) }],
    ['the epsilon', { architecture: small({ norm: { epsilon: 2e-5 } }) }],
    ['the padding', { architecture: small({ padding: 'symmetric' }) }],
    ['the seeding', { ...BASE, seeding: 'keras' }],
    ['the shortcut', { architecture: small({ shortcut: 'pool' }) }],
    [
      'the block with strides',
      { architecture: small({ stages: [{ blocks: 2, filters: 8, strides: 2 }], strides_in: 'last' }) },
    ],
  ])('differs by %s', (_, other) => {
    expect(idOf(other)).not.toBe(idOf(BASE))
    expect(idOf(reversed(other))).toBe(idOf(other))
  })

  test('of constants from arrays depends on the values, not on the initializer name', () => {
    const architecture = { stages: [{ blocks: 1, filters: 4 }] }
    const idWith = (class_name: string, value: unknown, match = 'head/dense/bias') => {
      const initializers = { overrides: [{ match, initializer: { class_name, config: { value } } }] }
      return idOf({ architecture, initializers })
    }
    const row = Array.from({ length: 1000 }, (_, index) => index)
    const initializer = `{"class_name":"Constant","config":{"value":[${row.join()}]}}`
    const canonical = `{"architecture":{"stages":[{"blocks":1,"filters":4}]},"initializers":{"overrides":[{"initializer":${initializer},"match":"head/dense/bias"}]}}`
    const id = createHash('sha256').update(canonical).digest('hex')
    expect([idWith('Constant', row), idWith('constant_initializer', [row])]).toEqual([id, id])
    const kernels = ['Constant', 'constant_initializer'].map((name) => idWith(name, row, 'head/dense/kernel'))
    expect(new Set([...kernels, idWith('Constant', [[1], [2], [2], [2]], 'head/dense/kernel')]).size).toBe(3)
    expect(idWith('Constant', [3])).toBe(idWith('Constant', 3))
  })

  test('does not depend on the order of fields', () => {
    for (const architecture of ['resnet50', 'residual_network']) {
      const { specification, id } = planned({ architecture })
      expect(idOf(reversed(specification))).toBe(id)
    }
  })

  test('of loaded weights depends on their digest', () => {
    const plan = planned(BASE)
    const loaded = ['a', 'b'].map((digest) => identify(plan, digest))
    expect(new Set([plan.id, ...loaded]).size).toBe(3)
  })
})
