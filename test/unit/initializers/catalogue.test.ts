import { describe, expect, test } from 'vitest'
import {
  listAliases,
  catalogueEntry,
  completeInitializer,
  definitionNamed,
  initializerNamed,
  resolveLaw,
  minimalConfig,
} from '../../../src/initializers/catalogue.ts'
import { definitions } from '../../../src/initializers/definitions.ts'
import { ownSeed } from '../../../src/initializers/initializer.ts'
import { codeAndPointers, refusal } from '../support/errors.ts'

const AT = '#/initializers/kernel'

/** Names of these classes in init_ops, tf.contrib.layers, Keras and torch. */
const words: Record<string, string[]> = {
  Zeros: ['zeros', 'zeros_initializer', 'zero'],
  Ones: ['ones', 'ones_initializer', 'one'],
  Constant: ['constant', 'constant_initializer'],
  RandomUniform: ['random_uniform', 'random_uniform_initializer', 'uniform'],
  RandomNormal: ['random_normal', 'random_normal_initializer', 'normal', 'untruncated_normal'],
  TruncatedNormal: ['truncated_normal', 'truncated_normal_initializer'],
  VarianceScaling: ['variance_scaling', 'variance_scaling_initializer'],
  GlorotUniform: [
    'glorot_uniform',
    'glorot_uniform_initializer',
    'xavier_uniform',
    'xavier_initializer',
    'xavier_initializer_conv2d',
  ],
  GlorotNormal: [
    'glorot_normal',
    'glorot_normal_initializer',
    'xavier_normal',
    'xavier_initializer',
    'xavier_initializer_conv2d',
  ],
  HeUniform: ['he_uniform', 'he_uniform_initializer', 'kaiming_uniform'],
  HeNormal: ['he_normal', 'he_normal_initializer', 'kaiming_normal'],
  LecunUniform: ['lecun_uniform', 'lecun_uniform_initializer'],
  LecunNormal: ['lecun_normal', 'lecun_normal_initializer'],
  UniformUnitScaling: ['uniform_unit_scaling', 'uniform_unit_scaling_initializer'],
  Orthogonal: ['orthogonal', 'orthogonal_initializer', 'OrthogonalInitializer', 'orthogonal_'],
  ConvolutionDeltaOrthogonal: [
    'convolution_delta_orthogonal',
    'convolution_delta_orthogonal_initializer',
    'convolutional_delta_orthogonal',
    'delta_orthogonal',
  ],
  ConvolutionOrthogonal1D: ['convolution_orthogonal_1d', 'convolutional_orthogonal_1d'],
  ConvolutionOrthogonal2D: ['convolution_orthogonal_2d', 'convolutional_orthogonal_2d'],
  ConvolutionOrthogonal3D: ['convolution_orthogonal_3d', 'convolutional_orthogonal_3d'],
  TorchKaimingUniform: ['torch_kaiming_uniform', 'kaiming_uniform_'],
  TorchKaimingNormal: ['torch_kaiming_normal', 'kaiming_normal_'],
  TorchXavierUniform: ['torch_xavier_uniform', 'xavier_uniform_'],
  TorchXavierNormal: ['torch_xavier_normal', 'xavier_normal_'],
  TorchTruncNormal: ['torch_trunc_normal', 'trunc_normal_'],
  Dirac: ['dirac', 'dirac_'],
  Identity: ['identity', 'identity_initializer', 'IdentityInitializer'],
}

describe('names', () => {
  test('the catalogue has these classes', () => {
    expect(definitions.map(({ name }) => name).sort()).toEqual(Object.keys(words).sort())
  })

  test.each(Object.entries(words))('%s is listed under all of its names', (name, known) => {
    expect(listAliases(definitionNamed(name))).toEqual(expect.arrayContaining(known))
  })

  test.each(
    definitions.flatMap((definition) => listAliases(definition).map((alias) => [alias, definition.name])),
  )('%s resolves', (alias, name) => {
    const expected = alias.startsWith('xavier_initializer') ? 'GlorotUniform' : name
    expect(completeInitializer(alias, AT).class_name).toBe(expected)
    expect(definitionNamed(alias).name).toBe(expected)
  })

  test('no name belongs to two classes', () => {
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
  ])('the alias %s has its own defaults', (name, config) => {
    expect(completeInitializer(name, AT).config).toMatchObject(config)
  })

  test("torch's names with an underscore have its laws, names without have TensorFlow's", () => {
    const classOf = (word: string) => completeInitializer(word, AT).class_name
    expect(['kaiming_normal', 'kaiming_uniform', 'xavier_normal', 'xavier_uniform'].map(classOf)).toEqual([
      ...['HeNormal', 'HeUniform', 'GlorotNormal', 'GlorotUniform'],
    ])
    expect(catalogueEntry('Dirac').aliases).not.toContain('dirac_initializer')
  })

  test.each(definitions)('the notes on $name cover TensorFlow, Keras, JAX and torch', ({ notes }) => {
    for (const library of ['TensorFlow', 'Keras', 'JAX', 'torch']) expect(notes).toContain(library)
  })

  test.each([
    ['GlorotUniform', { seed: null }],
    ['xavier_initializer', { uniform: true, seed: null }],
    ['RandomNormal', { mean: 0, stddev: 0.05, seed: null }],
    ['random_normal_initializer', { mean: 0, stddev: 1, seed: null }],
    ['random_uniform_initializer', { minval: 0, maxval: 1, seed: null }],
    ['random_uniform', { minval: -0.05, maxval: 0.05, seed: null }],
  ])('%s lists its parameters', (name, defaults) => {
    const { parameters } = catalogueEntry(name)
    const fields = Object.entries(parameters.properties as Record<string, { default?: unknown }>)
    expect(Object.fromEntries(fields.map(([field, schema]) => [field, schema.default]))).toEqual(defaults)
    expect(parameters).toMatchObject({ type: 'object', additionalProperties: false })
    expect(parameters).not.toHaveProperty('required')
  })

  test("a given field overrides an alias's default", () => {
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
    // `fill` has no effect on the default value, which is a number.
    if (name === 'Constant') delete defaults['fill']
    expect(filled.config).toEqual(defaults)
    expect(minimalConfig(filled, [])).toEqual({})
    expect(completeInitializer(filled, AT)).toEqual(filled)
  })

  test('have only non-default fields in their minimal form', () => {
    const initializer = initializerNamed('TruncatedNormal', { mean: 0, stddev: 1, seed: [3, 4] })
    expect(minimalConfig(initializer, [])).toEqual({ stddev: 1, seed: [3, 4] })
  })

  // What keras.initializers.serialize of Keras 3.15.1 writes for each class.
  const scaled = { seed: null, input_axes: null, output_axes: null }
  test.each([
    ['Zeros', {}],
    ['Ones', {}],
    ['Constant', { value: 0.0 }],
    ['RandomUniform', { seed: null, minval: -0.05, maxval: 0.05 }],
    ['RandomNormal', { seed: null, mean: 0.0, stddev: 0.05 }],
    ['TruncatedNormal', { seed: null, mean: 0.0, stddev: 0.05 }],
    ['VarianceScaling', { ...scaled, scale: 1.0, mode: 'fan_in', distribution: 'truncated_normal' }],
    ['GlorotUniform', scaled],
    ['GlorotNormal', scaled],
    ['HeUniform', scaled],
    ['HeNormal', scaled],
    ['LecunUniform', scaled],
    ['LecunNormal', scaled],
    ['Orthogonal', { seed: null, gain: 1.0 }],
    ['Identity', {}],
  ])("accept Keras's serialization of %s", (class_name, config) => {
    const written = { module: 'keras.initializers', class_name, config, registered_name: null }
    expect(completeInitializer(written, AT)).toEqual(completeInitializer(class_name, AT))
  })

  test.each([
    ['Zeros', {}],
    ['GlorotUniform', { seed: null }],
    ['VarianceScaling', { scale: 1.0, mode: 'fan_in', distribution: 'truncated_normal', seed: null }],
    ['xavier_initializer', { uniform: true, seed: null }],
  ])("accept init_ops's dtype of %s, if it is float32", (name, config) => {
    const plain = completeInitializer(name, AT)
    expect(initializerNamed(name, { ...config, dtype: 'float32' })).toEqual(plain)
    const error = refusal(() => initializerNamed(name, { ...config, dtype: 'float64' }))
    expect(codeAndPointers(error)).toEqual(['INVALID_REQUEST', '#/config/dtype'])
    expect(error.message).toContain('is not supported; give "float32"')
  })

  test.each([
    ['Constant', { value: 1e300 }, 'value'],
    ['Constant', { value: -3.5e38 }, 'value'],
    ['RandomNormal', { mean: 1e300 }, 'mean'],
    ['RandomNormal', { stddev: 1e300 }, 'stddev'],
    ['RandomNormal', { stddev: 1e38 }, 'stddev'],
    ['TruncatedNormal', { mean: 3e38, stddev: 1e38 }, 'mean'],
    ['RandomUniform', { minval: -3e38, maxval: 3e38 }, 'maxval'],
    ['RandomUniform', { minval: 0, maxval: 1e39 }, 'maxval'],
    ['RandomUniform', { minval: 1e300, maxval: 1e300 }, 'maxval'],
    ['VarianceScaling', { scale: 1e80 }, 'scale'],
    ['VarianceScaling', { scale: 1e308, distribution: 'uniform' }, 'scale'],
    ['Orthogonal', { gain: 1e39, seed: 1 }, 'gain'],
    ['Identity', { gain: -1e39 }, 'gain'],
    [
      'Constant',
      {
        value: [
          [0, 0],
          [1, -1e39],
        ],
      },
      'value',
    ],
    ['UniformUnitScaling', { factor: 1e39 }, 'factor'],
    ['ConvolutionDeltaOrthogonal', { gain: 1e39 }, 'gain'],
    ['TorchTruncNormal', { a: -1e39 }, 'a'],
    ['TorchXavierNormal', { gain: 1e39 }, 'gain'],
  ])('%s %j is beyond float32', (name, config, field) => {
    const error = refusal(() => initializerNamed(name, config))
    expect(codeAndPointers(error)).toEqual(['INVALID_REQUEST', `#/config/${field}`])
    expect(error.message).toContain('beyond float32')
  })

  test('the largest float32 numbers are accepted', () => {
    for (const [name, config] of [
      ['Constant', { value: 3.4028234e38 }],
      ['RandomUniform', { minval: -1.7e38, maxval: 1.7e38 }],
      ['TruncatedNormal', { stddev: 1.7e38 }],
      ['VarianceScaling', { scale: 1e70 }],
    ] as const) {
      expect(initializerNamed(name, config).config).toMatchObject(config)
    }
  })

  describe('constants from arrays', () => {
    const configOf = (name: string, value: unknown) => initializerNamed(name, { value }).config
    const formOf = (name: string, value: unknown, ...shapes: number[][]) =>
      minimalConfig(initializerNamed(name, { value }), shapes)

    test('keep their shape', () => {
      for (const value of [
        [
          [1, 2],
          [3, 4],
        ],
        [[[4]]],
        [5],
      ]) {
        expect(configOf('Constant', value)).toEqual({ value, fill: 'broadcast' })
        expect(configOf('constant_initializer', value)).toEqual({ value, fill: 'repeat_last' })
      }
      expect(configOf('constant_initializer', 5)).toEqual({ value: 5 })
      expect(configOf('Constant', [-0, [1]][0])).toStrictEqual({ value: 0 })
      expect(configOf('Constant', [[-0], [1]])).toStrictEqual({ value: [[0], [1]], fill: 'broadcast' })
    })

    test('keep their earlier canonical form if they are read row by row', () => {
      expect(formOf('constant_initializer', [[1, 2]], [3], [2, 8])).toEqual({ value: [1, 2] })
      expect(formOf('Constant', [1, 2], [2], [1, 2])).toEqual({ value: [1, 2] })
      expect(
        formOf(
          'Constant',
          [
            [1, 2],
            [3, 4],
          ],
          [2, 2],
        ),
      ).toEqual({ value: [1, 2, 3, 4] })
      for (const name of ['Constant', 'constant_initializer']) {
        expect(formOf(name, [[5]], [4, 4])).toEqual({ value: 5 })
        expect(formOf(name, [0], [4])).toEqual({})
      }
    })

    test('have a separate canonical form if they are broadcast', () => {
      const broadcast = { value: [1, 2], fill: 'broadcast' }
      expect(formOf('Constant', [1, 2], [3, 2])).toEqual(broadcast)
      expect(formOf('Constant', [1, 2], [2], [3, 2])).toEqual(broadcast)
      expect(formOf('Constant', [[1], [2]], [2, 3])).toEqual({ value: [[1], [2]], fill: 'broadcast' })
    })

    test('that were stored before arrays were broadcast are still read row by row', () => {
      const stored = { class_name: 'Constant', config: { value: [1, 2] } }
      expect(resolveLaw(stored, [2, 2], AT)).toEqual({ kind: 'values', values: [1, 2] })
      expect(minimalConfig(stored, [[2, 2]])).toEqual({ value: [1, 2] })
    })

    test("accept the other fields of TensorFlow v1's config", () => {
      // verify_shape and partition_info have no effect here.
      const written = { value: [1, 2], verify_shape: false, support_partition: false }
      expect(initializerNamed('constant_initializer', written).config).toMatchObject({ value: [1, 2] })
    })
  })

  test('a slope without effect is omitted', () => {
    const configOf = (config: object) => minimalConfig(initializerNamed('kaiming_normal_', { ...config }), [])
    expect(configOf({ a: 3, nonlinearity: 'relu' })).toEqual({ nonlinearity: 'relu' })
    expect(configOf({ a: 3 })).toEqual({ a: 3 })
  })

  test("an integer seed n is the seed vector [n, 0]; null means the parameter's", () => {
    const seedOf = (seed: unknown) => ownSeed(initializerNamed('HeNormal', { seed }))
    expect([seedOf(7), seedOf([7, 3]), seedOf(null)]).toEqual([[7, 0], [7, 3], undefined])
  })

  test('a distribution of variance 0 is a constant, rounded to float32', () => {
    const value = { kind: 'constant', value: Math.fround(0.1) }
    expect(resolveLaw(initializerNamed('RandomNormal', { mean: 0.1, stddev: 0 }), [3], AT)).toEqual(value)
    expect(resolveLaw(initializerNamed('RandomUniform', { minval: 0.1, maxval: 0.1 }), [3], AT)).toEqual(
      value,
    )
  })
})

describe('errors', () => {
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
    ['Zeros', { input_axes: null }, `${AT}/config/input_axes`, 'is not a known field'],
    ['HeNormal', { input_axes: [0] }, `${AT}/config/input_axes`, 'is not supported; give null'],
    ['Constant', { value: ['1'] }, `${AT}/config/value`, 'must be a number or a rectangular'],
    ['Constant', { value: [1, []] }, `${AT}/config/value`, 'must be a number or a rectangular'],
    ['Constant', { value: [[1, 2], [3]] }, `${AT}/config/value`, 'must be a number or a rectangular'],
    ['Constant', { fill: 'repeat' }, `${AT}/config/fill`, '"broadcast", "repeat_last"'],
    ['Constant', { value: [[[[[[[[[1]]]]]]]]] }, `${AT}/config/value`, 'at most 8 levels deep'],
    ['Constant', { value: [] }, `${AT}/config/value`, 'fewer than 1'],
    ['Constant', { value: '1' }, `${AT}/config/value`, 'must be a number or an array'],
    ['Constant', { verify_shape: true }, `${AT}/config/verify_shape`, 'is not supported; give false'],
    ['UniformUnitScaling', { factor: 0 }, `${AT}/config/factor`, 'must be > 0, got 0'],
    ['kaiming_normal_', { nonlinearity: 'gelu' }, `${AT}/config/nonlinearity`, '"leaky_relu"'],
    ['kaiming_normal_', { mode: 'fan_avg' }, `${AT}/config/mode`, '"fan_in", "fan_out"'],
    ['trunc_normal_', { a: 2 }, `${AT}/config/b`, 'must be above a (2)'],
    ['trunc_normal_', { mean: 40 }, `${AT}/config/mean`, 'move the mean or the bounds'],
    ['trunc_normal_', { std: 0 }, `${AT}/config/std`, 'must be > 0, got 0'],
    ['Dirac', { groups: 0 }, `${AT}/config/groups`, 'must be >= 1, got 0'],
    ['VarianceScaling', { output_axes: 1 }, `${AT}/config/output_axes`, 'is not supported; give null'],
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

  test.each(['constructor', '__proto__', 'toString'])('%s is not an initializer', (name) => {
    expect(refusal(() => completeInitializer(name, AT)).code).toBe('INVALID_REQUEST')
  })

  test.each([
    ['Orthogonal', [9], 'rank 2 or more'],
    ['Identity', [3, 3, 4, 4], 'rank 2,'],
    ['Identity', [3], 'rank 2,'],
    ['kaiming_uniform_', [3], 'rank 2 or more'],
    ['Dirac', [3, 3], 'rank 3 to 5'],
    ['delta_orthogonal', [3, 3], 'rank 3 to 5'],
    ['delta_orthogonal', [3, 3, 8, 4], 'it needs shape[-2] <= shape[-1], got [3, 3, 8, 4]; use another'],
    ['ConvolutionOrthogonal1D', [3, 3, 4, 4], 'rank 3,'],
    ['ConvolutionOrthogonal2D', [3, 2, 4, 4], 'equal sides'],
    ['ConvolutionOrthogonal2D', [3, 3, 5, 4], '5 inputs into 4 outputs'],
    ['ConvolutionOrthogonal3D', [3, 3, 2, 4, 4], 'equal sides'],
    ['ConvolutionOrthogonal1D', [65, 1, 1], 'at most 64'],
    ['ConvolutionOrthogonal2D', [3, 3, 4096, 4096], 'operations, more than 2.0e+12'],
    ['delta_orthogonal', [1, 1, 1, 9000], 'operations, more than 2.0e+12'],
    ['Orthogonal', [9000, 9000], 'operations, more than 2.0e+12'],
  ])('%s does not support the shape %j', (name, shape, words) => {
    const error = refusal(() => resolveLaw(completeInitializer(name, AT), shape, AT))
    expect(codeAndPointers(error)).toEqual(['INVALID_REQUEST', AT])
    expect(error.message).toContain(words)
  })

  test.each([
    ['constant_initializer', { value: [1, 2, 3] }, [2], 'value', 'has 3 values for 2 entries, got [2]'],
    ['Constant', { value: [1, 2, 3] }, [2], 'value', 'cannot broadcast an array of shape [3]'],
    ['Constant', { value: [[1, 2]] }, [2], 'value', 'cannot broadcast an array of shape [1, 2]'],
    ['Dirac', { groups: 3 }, [3, 3, 4, 8], 'groups', 'give a divisor of 8'],
  ])('%s %j does not fit the shape %j', (name, config, shape, field, words) => {
    const call = (place?: object) => () => resolveLaw(initializerNamed(name, config), shape, AT, place)
    expect(codeAndPointers(refusal(call()))).toEqual(['INVALID_REQUEST', `${AT}/config/${field}`])
    const error = refusal(call({ config: '#/config', name: 'stem/conv/kernel' }))
    expect(codeAndPointers(error)).toEqual(['INVALID_REQUEST', `#/config/${field}`])
    expect(error.message).toContain(`stem/conv/kernel: ${definitionNamed(name).name} `)
    expect(error.message).toContain(words)
  })
})
