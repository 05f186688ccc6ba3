import Type from 'typebox'
import { closed } from '../schema.ts'
import { Seed, type InitializerDefinition } from './initializer.ts'
import type { Law } from './law.ts'
import { varianceScaling, type VarianceScaling } from './variance-scaling.ts'

const number = (value: number, description: string, limits: object = {}) =>
  Type.Optional(Type.Number({ default: value, description, ...limits }))

const GLOROT =
  'Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010'
const HE = 'He et al., Delving deep into rectifiers, 2015, arXiv:1502.01852'
const LECUN = 'LeCun et al., Efficient BackProp, 1998; Klambauer et al., 2017, arXiv:1706.02515'
const KERAS = 'keras/src/initializers/random_initializers.py'

const TRUNCATION_NOTE =
  'TensorFlow v1 (since 1.7), v2, Keras and JAX widen the cut normal by 1/0.8796; torch does not cut; tfjs-layers cuts without widening, so its standard deviation is 0.88 of this one.'
const SAME_NOTE = 'The same number in TensorFlow v1, v2, Keras and JAX.'

type Common = 'name' | 'aliases' | 'written' | 'reference' | 'ranks'
interface Description
  extends Omit<InitializerDefinition, Common>, Partial<Pick<InitializerDefinition, Common>> {
  /** Names beside the class's in small letters and init_ops's `*_initializer`. */
  readonly words?: readonly string[]
  /** Defaults of init_ops's word, where v1 had others. */
  readonly v1?: Readonly<Record<string, unknown>>
}

function define(
  name: string,
  { words = [], v1 = {}, written, ...described }: Description,
): InitializerDefinition {
  const word = name.replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toLowerCase()
  const same = Object.fromEntries([word, ...words].map((alias) => [alias, {}]))
  return {
    name,
    aliases: { ...same, [`${word}_initializer`]: v1 },
    // Configs of init_ops name their dtype.
    written: { dtype: 'float32', ...written },
    reference: 'tensorflow/python/ops/init_ops.py',
    ranks: { min: 0, max: null },
    ...described,
  }
}

/** Zeros and Ones. */
function constant(name: string, word: string, value: number): InitializerDefinition {
  return define(name, {
    words: [word],
    config: closed({}),
    law: () => ({ kind: 'constant', value }),
    distribution: 'constant',
    formula: String(value),
    notes: SAME_NOTE,
  })
}

/** RandomNormal and TruncatedNormal: init_ops's word has a standard deviation of 1, Keras and v2 of 0.05. */
function normal(name: string, kind: 'normal' | 'truncated_normal', formula: string, words: string[] = []) {
  return define(name, {
    words,
    v1: { stddev: 1 },
    config: closed({
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
    reference: KERAS,
    notes:
      'Keras and TensorFlow v2 default to stddev 0.05; the v1 word *_normal_initializer to 1; JAX to 0.01.',
  })
}

/** Keras 3 can name the axes of the fans; null are those of every layout here. */
const AXES = { input_axes: null, output_axes: null }

/** A name of variance scaling: fixed scale, mode and distribution. */
function scaled(
  name: string,
  fixed: VarianceScaling,
  described: Pick<Description, 'words' | 'formula' | 'reference' | 'notes'>,
): InitializerDefinition {
  return define(name, {
    config: closed({ seed: Seed }),
    written: AXES,
    law: (_, shape) => varianceScaling(fixed, shape),
    distribution: fixed.distribution,
    ...described,
  })
}

const families = [
  {
    family: 'Glorot',
    torch: 'xavier',
    scale: 1,
    mode: 'fan_avg',
    reference: GLOROT,
    variance: '2 / (fan_in + fan_out)',
    limit: 'sqrt(6 / (fan_in + fan_out))',
    uniformNote: `${SAME_NOTE} torch calls it xavier_uniform_.`,
  },
  {
    family: 'He',
    torch: 'kaiming',
    scale: 2,
    mode: 'fan_in',
    reference: HE,
    variance: '2 / fan_in',
    limit: 'sqrt(6 / fan_in)',
    uniformNote: "torch's kaiming_uniform_ has the gain of a leaky ReLU by default (a=0 gives this one).",
  },
  {
    family: 'Lecun',
    torch: undefined,
    scale: 1,
    mode: 'fan_in',
    reference: LECUN,
    variance: '1 / fan_in',
    limit: 'sqrt(3 / fan_in)',
    uniformNote: SAME_NOTE,
  },
] as const

export const definitions: readonly InitializerDefinition[] = [
  constant('Zeros', 'zero', 0),
  constant('Ones', 'one', 1),
  define('Constant', {
    config: closed({ value: number(0, 'The value of every entry') }),
    law: ({ value }) => ({ kind: 'constant', value: Math.fround(value as number) }),
    distribution: 'constant',
    formula: 'value',
    notes:
      'TensorFlow v1 also takes arrays and pads short ones with their last element; Keras takes scalars only.',
  }),
  define('RandomUniform', {
    words: ['uniform'],
    v1: { minval: 0, maxval: 1 },
    config: closed({
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
    reference: KERAS,
    notes:
      'Keras and TensorFlow v2 default to [-0.05, 0.05); the v1 word random_uniform_initializer to [0, 1); JAX uniform(scale) is one-sided, [0, scale).',
  }),
  normal('RandomNormal', 'normal', 'N(mean, stddev^2)', ['normal']),
  normal(
    'TruncatedNormal',
    'truncated_normal',
    'N(mean, stddev^2) cut at mean +- 2 stddev; the standard deviation after the cut is 0.8796 stddev',
  ),
  define('VarianceScaling', {
    config: closed({
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
    written: AXES,
    law: (config, shape) => {
      const { distribution } = config
      const named = distribution === 'normal' ? 'truncated_normal' : distribution
      return varianceScaling({ ...config, distribution: named } as VarianceScaling, shape)
    },
    distribution: 'truncated_normal, untruncated_normal or uniform',
    formula: 'variance scale / max(1, fan), fan = fan_in, fan_out or (fan_in + fan_out) / 2',
    reference: HE,
    notes: 'The distribution "normal" is cut in TensorFlow and Keras, and not cut in JAX.',
  }),
  ...families.flatMap(({ family, torch, scale, mode, reference, variance, limit, uniformNote }) => [
    scaled(
      `${family}Uniform`,
      { scale, mode, distribution: 'uniform' },
      {
        words: torch ? [`${torch}_uniform`] : [],
        formula: `U(-l, l), l = ${limit}`,
        reference,
        notes: uniformNote,
      },
    ),
    scaled(
      `${family}Normal`,
      { scale, mode, distribution: 'truncated_normal' },
      {
        words: torch ? [`${torch}_normal`] : [],
        formula: `truncated normal of variance ${variance}`,
        reference,
        notes: torch ? `${TRUNCATION_NOTE} torch calls it ${torch}_normal_.` : TRUNCATION_NOTE,
      },
    ),
  ]),
  define('Orthogonal', {
    words: ['OrthogonalInitializer'],
    config: closed({ gain: number(1, 'Factor on the orthonormal matrix'), seed: Seed }),
    law: ({ gain }) => ({ kind: 'orthogonal', gain: gain as number }),
    distribution: 'orthogonal',
    formula:
      'gain * Q of a QR decomposition of a normal matrix, kernel flattened to [prod(shape[:-1]), shape[-1]]',
    reference: 'Saxe et al., Exact solutions to the nonlinear dynamics of learning, 2014, arXiv:1312.6120',
    ranks: { min: 2, max: null },
    notes:
      'Flattened it is orthogonal; as a convolution operator it is not an isometry. torch flattens to out x (in * window) instead. QR is done on the CPU; other linear algebra libraries agree to about 1e-6.',
  }),
  define('Identity', {
    words: ['IdentityInitializer', 'eye'],
    config: closed({ gain: number(1, 'Value on the diagonal') }),
    law: ({ gain }) => ({ kind: 'identity', gain: Math.fround(gain as number) }),
    distribution: 'identity',
    formula: 'gain on the diagonal, 0 elsewhere',
    ranks: { min: 2, max: 2 },
    notes: 'Matrices only, rectangular ones too, in TensorFlow v1, v2 and Keras.',
  }),
]
