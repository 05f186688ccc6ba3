import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { identify } from '../../src/network/identity.ts'
import { planned, small } from './support/requests.ts'

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
  test('is the digest of the canonical JSON of what is not default', () => {
    const text = '{"architecture":{"stages":[{"blocks":1,"filters":4,"strides":1}]},"seed":7}'
    const id = idOf({ architecture: { stages: [{ blocks: 1, filters: 4 }] }, seed: 7 })
    expect(id).toBe(createHash('sha256').update(text).digest('hex'))
  })

  test('keeps initializers as their class and what is not default of their config', () => {
    const text =
      '{"architecture":{"stages":[{"blocks":1,"filters":4,"strides":1}]},"initializers":{"kernel":["TruncatedNormal",{"stddev":1}],"overrides":[["head/**",["Ones",{}]]]}}'
    const initializers = {
      kernel: 'truncated_normal_initializer',
      overrides: [{ match: 'head/**', initializer: 'ones' }],
    }
    const id = idOf({ architecture: { stages: [{ blocks: 1, filters: 4 }] }, initializers })
    expect(id).toBe(createHash('sha256').update(text).digest('hex'))
  })

  test.each<[string, object, object]>([
    ['a default said', BASE, { ...BASE, seed: 0, precision: 'float32', initializers: { bias: 'zeros' } }],
    ['classes or units', { architecture: small({ head: {} }), classes: 10 }, BASE],
    ['a norm by its type', BASE, { architecture: small({ norm: 'batch' }) }],
    [
      'preprocessing by its numbers',
      { ...BASE, preprocessing: 'none' },
      { ...BASE, preprocessing: { scale: 1 } },
    ],
    ['an alias', { ...BASE, initializers: { kernel: 'xavier_initializer' } }, BASE],
    [
      'the v1 word and its number',
      { ...BASE, initializers: { kernel: 'random_normal_initializer' } },
      { ...BASE, initializers: { kernel: { class_name: 'RandomNormal', config: { stddev: 1, mean: 0 } } } },
    ],
    ['an expansion without a bottleneck', { architecture: small({ expansion: 2 }) }, BASE],
    [
      'the epsilon of no norm',
      { architecture: small({ norm: { type: 'none', epsilon: 1 } }) },
      { architecture: small({ norm: 'none' }) },
    ],
    [
      'a bias no norm brings',
      { architecture: small({ norm: 'none', use_bias: true }) },
      { architecture: small({ norm: 'none' }) },
    ],
    [
      'a list of one rule',
      { architecture: small({ shortcut: ['always'] }) },
      { architecture: small({ shortcut: 'always' }) },
    ],
    ['a preset by itself', { architecture: { preset: 'resnet18' } }, { architecture: 'resnet18' }],
  ])('is the same in other words: %s', (_, first, second) => {
    expect(idOf(first)).toBe(idOf(second))
  })

  test.each<[string, object]>([
    ['the seed', { ...BASE, seed: 1 }],
    ['a negative seed', { ...BASE, seed: -1 }],
    ['an initializer', { ...BASE, initializers: { dense_kernel: 'he_normal' } }],
    [
      'an initializer of its own where it is the default',
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
  ])('tells networks apart by %s', (_, other) => {
    expect(idOf(other)).not.toBe(idOf(BASE))
    expect(idOf(reversed(other))).toBe(idOf(other))
  })

  test('does not depend on the order of fields', () => {
    for (const architecture of ['resnet50', 'residual_network']) {
      const { specification, id } = planned({ architecture })
      expect(idOf(reversed(specification))).toBe(id)
    }
  })

  test('of loaded weights depends on their digest', () => {
    const { specification, id } = planned(BASE)
    const loaded = ['a', 'b'].map((digest) => identify(specification, digest))
    expect(new Set([id, ...loaded]).size).toBe(3)
  })
})
