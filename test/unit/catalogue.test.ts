import { describe, expect, test } from 'vitest'
import {
  aliasesOf,
  completeInitializer,
  definitionNamed,
  initializerNamed,
  lawOf,
  minimalConfig,
} from '../../src/initializers/catalogue.ts'
import { definitions } from '../../src/initializers/definitions.ts'
import { ownSeed } from '../../src/initializers/initializer.ts'
import { codeAndPointers, refusal } from './support/errors.ts'

const AT = '#/initializers/kernel'

/** The names init_ops, tf.contrib.layers, Keras and torch have for these classes. */
const words: Record<string, string[]> = {
  Zeros: ['zeros', 'zeros_initializer'],
  Ones: ['ones', 'ones_initializer'],
  Constant: ['constant', 'constant_initializer'],
  RandomUniform: ['random_uniform', 'random_uniform_initializer'],
  RandomNormal: ['random_normal', 'random_normal_initializer'],
  TruncatedNormal: ['truncated_normal', 'truncated_normal_initializer'],
  VarianceScaling: ['variance_scaling', 'variance_scaling_initializer'],
  GlorotUniform: ['glorot_uniform', 'glorot_uniform_initializer', 'xavier_uniform', 'xavier_initializer'],
  GlorotNormal: ['glorot_normal', 'glorot_normal_initializer', 'xavier_normal', 'xavier_initializer'],
  HeUniform: ['he_uniform', 'he_uniform_initializer', 'kaiming_uniform'],
  HeNormal: ['he_normal', 'he_normal_initializer', 'kaiming_normal'],
  LecunUniform: ['lecun_uniform', 'lecun_uniform_initializer'],
  LecunNormal: ['lecun_normal', 'lecun_normal_initializer'],
  Orthogonal: ['orthogonal', 'orthogonal_initializer'],
  Identity: ['identity', 'identity_initializer'],
}

describe('names', () => {
  test('the catalogue has these classes', () => {
    expect(definitions.map(({ name }) => name).sort()).toEqual(Object.keys(words).sort())
  })

  test.each(Object.entries(words))('%s is listed under every name it goes by', (name, known) => {
    expect(aliasesOf(definitionNamed(name))).toEqual(expect.arrayContaining(known))
  })

  test.each(
    definitions.flatMap((definition) => aliasesOf(definition).map((alias) => [alias, definition.name])),
  )('%s resolves', (alias, name) => {
    const expected = alias === 'xavier_initializer' ? 'GlorotUniform' : name
    expect(completeInitializer(alias, AT).class_name).toBe(expected)
    expect(definitionNamed(alias).name).toBe(expected)
  })

  test('no name stands for two classes', () => {
    const all = definitions.flatMap(({ name, aliases }) => [name, ...Object.keys(aliases)])
    expect(new Set(all).size).toBe(all.length)
  })

  test.each([
    [{}, 'GlorotUniform'],
    [{ uniform: true }, 'GlorotUniform'],
    [{ uniform: false }, 'GlorotNormal'],
  ])('xavier_initializer with %j is %s', (config, name) => {
    const initializer = completeInitializer(
      { class_name: 'xavier_initializer', config: { ...config, seed: 3 } },
      AT,
    )
    expect(initializer).toEqual({ class_name: name, config: { seed: 3 } })
  })

  test.each([
    ['random_uniform', { minval: -0.05, maxval: 0.05 }],
    ['random_uniform_initializer', { minval: 0, maxval: 1 }],
    ['random_normal', { mean: 0, stddev: 0.05 }],
    ['random_normal_initializer', { mean: 0, stddev: 1 }],
    ['truncated_normal_initializer', { mean: 0, stddev: 1 }],
    ['constant_initializer', { value: 0 }],
    ['orthogonal_initializer', { gain: 1 }],
    ['variance_scaling_initializer', { scale: 1, mode: 'fan_in', distribution: 'truncated_normal' }],
  ])('%s brings its own defaults', (name, config) => {
    expect(completeInitializer(name, AT).config).toMatchObject(config)
  })

  test('a given field wins over the default an alias brings', () => {
    const { config } = initializerNamed('truncated_normal_initializer', { stddev: 0.02 })
    expect(config).toEqual({ mean: 0, stddev: 0.02, seed: null })
  })
})

describe('configs', () => {
  test.each(definitions)('$name states the defaults it fills in', ({ name, config }) => {
    const properties = config.properties as Record<string, { default?: unknown }>
    const defaults = Object.fromEntries(
      Object.entries(properties).map(([field, { default: value }]) => [field, value]),
    )
    const filled = completeInitializer(name, AT)
    expect(filled.config).toEqual(defaults)
    expect(minimalConfig(filled)).toEqual({})
    expect(completeInitializer(filled, AT)).toEqual(filled)
  })

  test('keep what is not default, and nothing else, in their minimal form', () => {
    const initializer = initializerNamed('TruncatedNormal', { mean: 0, stddev: 1, seed: [3, 4] })
    expect(minimalConfig(initializer)).toEqual({ stddev: 1, seed: [3, 4] })
  })

  test('take the two fields Keras writes beside the class', () => {
    const written = {
      module: 'keras.initializers',
      registered_name: null,
      class_name: 'HeNormal',
      config: { seed: 1 },
    }
    expect(completeInitializer(written, AT)).toEqual({ class_name: 'HeNormal', config: { seed: 1 } })
  })

  test('an integer seed n is the seed vector [n, 0]; null takes that of the place', () => {
    const seedOf = (seed: unknown) => ownSeed(initializerNamed('HeNormal', { seed }))
    expect([seedOf(7), seedOf([7, 3]), seedOf(null)]).toEqual([[7, 0], [7, 3], undefined])
  })

  test('without spread a draw is a constant, rounded to float32', () => {
    const value = { kind: 'constant', value: Math.fround(0.1) }
    expect(lawOf(initializerNamed('RandomNormal', { mean: 0.1, stddev: 0 }), [3], AT)).toEqual(value)
    expect(lawOf(initializerNamed('RandomUniform', { minval: 0.1, maxval: 0.1 }), [3], AT)).toEqual(value)
  })
})

describe('refusals', () => {
  test.each([
    ['he_nromal', {}, `${AT}/class_name`, 'did you mean "he_normal"?'],
    ['TruncatedNormal', { stdev: 1 }, `${AT}/config/stdev`, 'did you mean "stddev"?'],
    ['TruncatedNormal', { stddev: -1 }, `${AT}/config/stddev`, 'must be >= 0, got -1'],
    ['VarianceScaling', { scale: 0 }, `${AT}/config/scale`, 'must be > 0, got 0'],
    ['VarianceScaling', { mode: 'fan' }, `${AT}/config/mode`, '"fan_in", "fan_out", "fan_avg"'],
    ['RandomUniform', { minval: 2 }, `${AT}/config/maxval`, 'must be at least minval (2)'],
    ['HeNormal', { seed: '7' }, `${AT}/config/seed`, 'got "7"'],
    ['HeNormal', { seed: 1.5 }, `${AT}/config/seed`, 'got 1.5'],
    ['Zeros', { value: 1 }, `${AT}/config/value`, 'is not a known field'],
  ])('%s %j', (name, config, pointer, words) => {
    const error = refusal(() => completeInitializer({ class_name: name, config }, AT))
    expect(codeAndPointers(error)).toEqual(['INVALID_REQUEST', pointer])
    expect(error.message).toContain(words)
  })

  test('all wrong fields are named at once', () => {
    const error = refusal(() => initializerNamed('TruncatedNormal', { stdev: 1, mean: 'a' }))
    expect(codeAndPointers(error)).toEqual(['INVALID_REQUEST', '#/config/stdev', '#/config/mean'])
  })

  test('an unknown name of a route is not found', () => {
    expect(refusal(() => definitionNamed('glorot_uniforn'))).toMatchObject({
      code: 'INITIALIZER_NOT_FOUND',
      message: '"glorot_uniforn" is not a known initializer; did you mean "glorot_uniform"?',
    })
  })

  test.each(['constructor', '__proto__', 'toString'])('%s is no initializer', (name) => {
    expect(refusal(() => completeInitializer(name, AT)).code).toBe('INVALID_REQUEST')
  })

  test.each([
    ['Orthogonal', [9], 'rank 2 or more'],
    ['Identity', [3, 3, 4, 4], 'rank 2,'],
    ['Identity', [3], 'rank 2,'],
  ])('%s does not take the shape %j', (name, shape, words) => {
    const error = refusal(() => lawOf(completeInitializer(name, AT), shape, AT))
    expect(codeAndPointers(error)).toEqual(['INVALID_REQUEST', AT])
    expect(error.message).toContain(words)
  })
})
