import Type, { type TProperties } from 'typebox'
import { SafeInteger, SeedPair, type InitializerDefinition } from './initializer.ts'
import type { Law } from './law.ts'
import { varianceScaling, type VarianceScaling } from './variance-scaling.ts'

const Seed = Type.Optional(
  Type.Union([Type.Null(), SafeInteger, SeedPair], {
    default: null,
    description: 'An integer n is the seed vector [n, 0]; null takes the seed of the place of use',
  }),
)
const number = (value: number, description: string, limits: object = {}) =>
  Type.Optional(Type.Number({ default: value, description, ...limits }))
const configOf = (properties: TProperties) => Type.Object(properties, { additionalProperties: false })

const ANY_RANK = { min: 0, max: null }
const KERNEL_RANK = { min: 2, max: null }
const GLOROT =
  'Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010'
const HE = 'He et al., Delving deep into rectifiers, 2015, arXiv:1502.01852'
const LECUN = 'LeCun et al., Efficient BackProp, 1998; Klambauer et al., 2017, arXiv:1706.02515'

/** A name of variance scaling: fixed scale, mode and distribution, so one line each. */
function scaled(
  name: string,
  words: readonly string[],
  fixed: VarianceScaling,
  [formula, reference]: readonly [string, string],
  notes: string,
): InitializerDefinition {
  return {
    name,
    aliases: Object.fromEntries(words.map((word) => [word, {}])),
    config: configOf({ seed: Seed }),
    law: (_, shape) => varianceScaling(fixed, shape),
    distribution: fixed.distribution,
    formula,
    reference,
    ranks: ANY_RANK,
    notes,
  }
}

const TRUNCATION_NOTE =
  'TensorFlow v1 (since 1.7), v2, Keras and JAX widen the cut normal by 1/0.8796; torch does not cut; tfjs-layers cuts without widening, so its standard deviation is 0.88 of this one.'
const SAME_NOTE = 'The same number in TensorFlow v1, v2, Keras and JAX.'

export const definitions: readonly InitializerDefinition[] = [
  {
    name: 'Zeros',
    aliases: { zeros: {}, zeros_initializer: {} },
    config: configOf({}),
    law: () => ({ kind: 'constant', value: 0 }),
    distribution: 'constant',
    formula: '0',
    reference: 'tensorflow/python/ops/init_ops.py',
    ranks: ANY_RANK,
    notes: SAME_NOTE,
  },
  {
    name: 'Ones',
    aliases: { ones: {}, ones_initializer: {} },
    config: configOf({}),
    law: () => ({ kind: 'constant', value: 1 }),
    distribution: 'constant',
    formula: '1',
    reference: 'tensorflow/python/ops/init_ops.py',
    ranks: ANY_RANK,
    notes: SAME_NOTE,
  },
  {
    name: 'Constant',
    aliases: { constant: {}, constant_initializer: {} },
    config: configOf({ value: number(0, 'The value of every entry') }),
    law: ({ value }) => ({ kind: 'constant', value: Math.fround(value as number) }),
    distribution: 'constant',
    formula: 'value',
    reference: 'tensorflow/python/ops/init_ops.py',
    ranks: ANY_RANK,
    notes:
      'TensorFlow v1 also takes arrays and pads short ones with their last element; Keras takes scalars only.',
  },
  {
    name: 'RandomUniform',
    aliases: { random_uniform: {}, uniform: {}, random_uniform_initializer: { minval: 0, maxval: 1 } },
    config: configOf({
      minval: number(-0.05, 'Lower bound'),
      maxval: number(0.05, 'Upper bound'),
      seed: Seed,
    }),
    problem: ({ minval, maxval }) =>
      (minval as number) > (maxval as number)
        ? ['maxval', `must be at least minval (${String(minval)})`]
        : undefined,
    law: ({ minval, maxval }) =>
      minval === maxval
        ? { kind: 'constant', value: Math.fround(minval as number) }
        : { kind: 'uniform', low: minval as number, high: maxval as number },
    distribution: 'uniform',
    formula: 'U[minval, maxval)',
    reference: 'keras/src/initializers/random_initializers.py',
    ranks: ANY_RANK,
    notes:
      'Keras and TensorFlow v2 default to [-0.05, 0.05); the v1 word random_uniform_initializer to [0, 1); JAX uniform(scale) is one-sided, [0, scale).',
  },
  normal(
    'RandomNormal',
    ['random_normal', 'normal'],
    'random_normal_initializer',
    'normal',
    'N(mean, stddev^2)',
  ),
  normal(
    'TruncatedNormal',
    ['truncated_normal'],
    'truncated_normal_initializer',
    'truncated_normal',
    'N(mean, stddev^2) cut at mean +- 2 stddev; the standard deviation after the cut is 0.8796 stddev',
  ),
  {
    name: 'VarianceScaling',
    aliases: { variance_scaling: {}, variance_scaling_initializer: {} },
    config: configOf({
      scale: number(1, 'Variance times the fan', { exclusiveMinimum: 0 }),
      mode: Type.Optional(Type.Enum(['fan_in', 'fan_out', 'fan_avg'], { default: 'fan_in' })),
      distribution: Type.Optional(
        Type.Enum(['truncated_normal', 'untruncated_normal', 'uniform', 'normal'], {
          default: 'truncated_normal',
          description: 'normal is an alias of truncated_normal, as in TensorFlow',
        }),
      ),
      seed: Seed,
    }),
    law: (config, shape) => {
      const { distribution } = config
      const named = distribution === 'normal' ? 'truncated_normal' : distribution
      return varianceScaling({ ...config, distribution: named } as VarianceScaling, shape)
    },
    distribution: 'truncated_normal, untruncated_normal or uniform',
    formula: 'variance scale / max(1, fan), fan = fan_in, fan_out or (fan_in + fan_out) / 2',
    reference: HE,
    ranks: ANY_RANK,
    notes: 'The distribution "normal" is cut in TensorFlow and Keras, and not cut in JAX.',
  },
  scaled(
    'GlorotUniform',
    ['glorot_uniform', 'glorot_uniform_initializer', 'xavier_uniform'],
    { scale: 1, mode: 'fan_avg', distribution: 'uniform' },
    ['U(-l, l), l = sqrt(6 / (fan_in + fan_out))', GLOROT],
    `${SAME_NOTE} torch calls it xavier_uniform_.`,
  ),
  scaled(
    'GlorotNormal',
    ['glorot_normal', 'glorot_normal_initializer', 'xavier_normal'],
    { scale: 1, mode: 'fan_avg', distribution: 'truncated_normal' },
    ['truncated normal of variance 2 / (fan_in + fan_out)', GLOROT],
    `${TRUNCATION_NOTE} torch calls it xavier_normal_.`,
  ),
  scaled(
    'HeUniform',
    ['he_uniform', 'he_uniform_initializer', 'kaiming_uniform'],
    { scale: 2, mode: 'fan_in', distribution: 'uniform' },
    ['U(-l, l), l = sqrt(6 / fan_in)', HE],
    "torch's kaiming_uniform_ has the gain of a leaky ReLU by default (a=0 gives this one).",
  ),
  scaled(
    'HeNormal',
    ['he_normal', 'he_normal_initializer', 'kaiming_normal'],
    { scale: 2, mode: 'fan_in', distribution: 'truncated_normal' },
    ['truncated normal of variance 2 / fan_in', HE],
    `${TRUNCATION_NOTE} torch calls it kaiming_normal_.`,
  ),
  scaled(
    'LecunUniform',
    ['lecun_uniform', 'lecun_uniform_initializer'],
    { scale: 1, mode: 'fan_in', distribution: 'uniform' },
    ['U(-l, l), l = sqrt(3 / fan_in)', LECUN],
    SAME_NOTE,
  ),
  scaled(
    'LecunNormal',
    ['lecun_normal', 'lecun_normal_initializer'],
    { scale: 1, mode: 'fan_in', distribution: 'truncated_normal' },
    ['truncated normal of variance 1 / fan_in', LECUN],
    TRUNCATION_NOTE,
  ),
  {
    name: 'Orthogonal',
    aliases: { orthogonal: {}, orthogonal_initializer: {} },
    config: configOf({ gain: number(1, 'Factor on the orthonormal matrix'), seed: Seed }),
    law: ({ gain }) => ({ kind: 'orthogonal', gain: gain as number }),
    distribution: 'orthogonal',
    formula:
      'gain * Q of a QR decomposition of a normal matrix, kernel flattened to [prod(shape[:-1]), shape[-1]]',
    reference: 'Saxe et al., Exact solutions to the nonlinear dynamics of learning, 2014, arXiv:1312.6120',
    ranks: KERNEL_RANK,
    notes:
      'Flattened it is orthogonal; as a convolution operator it is not an isometry. torch flattens to out x (in * window) instead. QR is done on the CPU; other linear algebra libraries agree to about 1e-6.',
  },
  {
    name: 'Identity',
    aliases: { identity: {}, identity_initializer: {}, eye: {} },
    config: configOf({ gain: number(1, 'Value on the diagonal') }),
    law: ({ gain }) => ({ kind: 'identity', gain: Math.fround(gain as number) }),
    distribution: 'identity',
    formula: 'gain on the diagonal, 0 elsewhere',
    reference: 'tensorflow/python/ops/init_ops.py',
    ranks: { min: 2, max: 2 },
    notes: 'Matrices only, rectangular ones too, in TensorFlow v1, v2 and Keras.',
  },
]

/** RandomNormal and TruncatedNormal: the v1 word has a standard deviation of 1, Keras and v2 of 0.05. */
function normal(
  name: string,
  words: readonly string[],
  v1Word: string,
  kind: 'normal' | 'truncated_normal',
  formula: string,
): InitializerDefinition {
  return {
    name,
    aliases: { ...Object.fromEntries(words.map((word) => [word, {}])), [v1Word]: { stddev: 1 } },
    config: configOf({
      mean: number(0, 'Mean'),
      stddev: number(0.05, 'Standard deviation before any cut', { minimum: 0 }),
      seed: Seed,
    }),
    law: ({ mean, stddev }): Law =>
      stddev === 0
        ? { kind: 'constant', value: Math.fround(mean as number) }
        : { kind, mean: mean as number, std: stddev as number },
    distribution: kind,
    formula,
    reference: 'keras/src/initializers/random_initializers.py',
    ranks: ANY_RANK,
    notes: `Keras and TensorFlow v2 default to stddev 0.05; the v1 word ${v1Word} to 1; JAX to 0.01.`,
  }
}
