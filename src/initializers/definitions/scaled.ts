import Type from 'typebox'
import { closed } from '../../common/schema.ts'
import { sizeOf } from '../fans.ts'
import { Seed, type InitializerDefinition } from '../initializer.ts'
import { varianceScaling, type VarianceScaling } from '../variance-scaling.ts'
import { define, number, SEEDS, type Description } from './define.ts'
import { SAME } from './frameworks.ts'

const GLOROT =
  'Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010'
const HE = 'He et al., Delving deep into rectifiers, 2015, arXiv:1502.01852'
const LECUN = 'LeCun et al., Efficient BackProp, 1998; Klambauer et al., 2017, arXiv:1706.02515'

const WIDENED =
  'a truncated normal widened by 1 / 0.8796 (in TensorFlow v1 since 1.7), so that it has this variance'
/** The truncated normals in other frameworks. */
const TRUNCATED = {
  tensorflow1: WIDENED,
  tensorflow2: WIDENED,
  keras: WIDENED,
  jax: WIDENED,
  tfjs: 'truncated and not widened',
} as const

/** Keras 3 can name the axes of the fans; null stands for the axes of the layout [...window, in, out]. */
const AXES = { input_axes: null, output_axes: null }
const NO_AXES =
  "Keras's input_axes and output_axes are rejected unless they are null: the shape determines the fans."

/** A name of variance scaling: fixed scale, mode and distribution. */
function scaled(
  name: string,
  {
    law,
    ...described
  }: Pick<Description, 'otherNames' | 'formula' | 'reference' | 'frameworks'> & {
    readonly law: VarianceScaling
  },
): InitializerDefinition {
  return define(name, {
    config: closed({ seed: Seed }),
    ignoredFields: AXES,
    law: (_, shape) => varianceScaling(law, shape),
    distribution: law.distribution,
    remarks: [SEEDS, NO_AXES],
    ...described,
  })
}

/** Initializers whose standard deviation follows from the fans, under TensorFlow's names. */
export const scaledDefinitions: readonly InitializerDefinition[] = [
  define('VarianceScaling', {
    config: closed({
      scale: number(1, 'Variance times the fan', { exclusiveMinimum: 0 }),
      mode: Type.Optional(
        Type.Enum(['fan_in', 'fan_out', 'fan_avg', 'fan_geo_avg'], {
          default: 'fan_in',
          description: "fan_geo_avg is JAX's sqrt(fan_in fan_out)",
        }),
      ),
      distribution: Type.Optional(
        Type.Enum(['truncated_normal', 'untruncated_normal', 'uniform', 'normal'], {
          default: 'truncated_normal',
          description: 'normal is an alias of truncated_normal, as in TensorFlow',
        }),
      ),
      seed: Seed,
    }),
    ignoredFields: AXES,
    law: (config, shape) => {
      const { distribution } = config
      const named = distribution === 'normal' ? 'truncated_normal' : distribution
      return varianceScaling({ ...config, distribution: named } as VarianceScaling, shape)
    },
    distribution: 'truncated_normal, untruncated_normal or uniform',
    formula: 'variance scale / max(1, fan), fan = fan_in, fan_out, their mean or their geometric mean',
    reference: HE,
    frameworks: {
      tensorflow1: 'the same, "normal" is truncated',
      tensorflow2: 'the same, "normal" is truncated',
      keras: 'the same, "normal" is truncated',
      jax: '"normal" is not truncated, fan_geo_avg exists only there, fans below 1 are used as they are, ranks below 2 are rejected',
      torch: 'none',
    },
    remarks: [
      'Grouped and depthwise kernels: every framework computes the fans from the shape alone.',
      SEEDS,
      NO_AXES,
    ],
  }),
  scaled('GlorotUniform', {
    otherNames: ['xavier_uniform'],
    law: { scale: 1, mode: 'fan_avg', distribution: 'uniform' },
    formula: 'U(-l, l), l = sqrt(6 / (fan_in + fan_out))',
    reference: GLOROT,
    frameworks: { ...SAME, torch: 'xavier_uniform_, the same at its default gain of 1' },
  }),
  scaled('GlorotNormal', {
    otherNames: ['xavier_normal'],
    law: { scale: 1, mode: 'fan_avg', distribution: 'truncated_normal' },
    formula: 'truncated normal of variance 2 / (fan_in + fan_out)',
    reference: GLOROT,
    frameworks: { ...TRUNCATED, torch: 'xavier_normal_, not truncated (TorchXavierNormal)' },
  }),
  scaled('HeUniform', {
    otherNames: ['kaiming_uniform'],
    law: { scale: 2, mode: 'fan_in', distribution: 'uniform' },
    formula: 'U(-l, l), l = sqrt(6 / fan_in)',
    reference: HE,
    frameworks: { ...SAME, torch: 'kaiming_uniform_, the same at its defaults: a leaky ReLU of slope 0' },
  }),
  scaled('HeNormal', {
    otherNames: ['kaiming_normal'],
    law: { scale: 2, mode: 'fan_in', distribution: 'truncated_normal' },
    formula: 'truncated normal of variance 2 / fan_in',
    reference: HE,
    frameworks: { ...TRUNCATED, torch: 'kaiming_normal_, not truncated (TorchKaimingNormal)' },
  }),
  scaled('LecunUniform', {
    law: { scale: 1, mode: 'fan_in', distribution: 'uniform' },
    formula: 'U(-l, l), l = sqrt(3 / fan_in)',
    reference: LECUN,
    frameworks: { ...SAME, torch: 'none (kaiming_uniform_ with nonlinearity linear is the same)' },
  }),
  scaled('LecunNormal', {
    law: { scale: 1, mode: 'fan_in', distribution: 'truncated_normal' },
    formula: 'truncated normal of variance 1 / fan_in',
    reference: LECUN,
    frameworks: {
      ...TRUNCATED,
      torch: 'none (kaiming_normal_ with nonlinearity linear is the same without truncation)',
    },
  }),
  define('UniformUnitScaling', {
    config: closed({ factor: number(1, 'Factor on the limit', { exclusiveMinimum: 0 }), seed: Seed }),
    law: ({ factor }, shape) => {
      const limit = (factor as number) * Math.sqrt(3 / Math.max(1, sizeOf(shape.slice(0, -1))))
      return { kind: 'uniform', low: -limit, high: limit }
    },
    distribution: 'uniform',
    formula: 'U(-l, l), l = factor sqrt(3 / n), n = the product of all dimensions but the last',
    reference: 'tensorflow/python/ops/init_ops.py; Sussillo and Abbott, 2014, arXiv:1412.6558',
    frameworks: {
      tensorflow1: 'the same, deprecated in favor of VarianceScaling',
      tensorflow2: 'none',
      keras: 'none',
      jax: 'none',
      torch: 'none',
    },
    remarks: ['n is fan_in for kernels and 1 for vectors, where VarianceScaling uses the length.', SEEDS],
  }),
]
