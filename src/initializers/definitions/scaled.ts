import Type from 'typebox'
import { closed } from '../../common/schema.ts'
import { sizeOf } from '../fans.ts'
import { Seed, type InitializerDefinition } from '../initializer.ts'
import { varianceScaling, type VarianceScaling } from '../variance-scaling.ts'
import { define, number, SEEDS, type Description } from './define.ts'

const GLOROT =
  'Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010'
const HE = 'He et al., Delving deep into rectifiers, 2015, arXiv:1502.01852'
const LECUN = 'LeCun et al., Efficient BackProp, 1998; Klambauer et al., 2017, arXiv:1706.02515'

const CUT =
  'TensorFlow v1 (since 1.7), v2, Keras and JAX: a cut normal widened by 1 / 0.8796, so that the variance is met; tfjs-layers: cut and not widened'

/** Keras 3 can name the axes of the fans; null means the axes of every layout here. */
const AXES = { input_axes: null, output_axes: null }
const NO_AXES =
  "Keras's input_axes and output_axes are rejected unless they are null: fans follow from the shape."

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
    notes: `${described.notes} ${NO_AXES}`,
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
    torchUniform: 'xavier_uniform_, the same at its default gain of 1',
    torchNormal: 'xavier_normal_, not cut (TorchXavierNormal)',
  },
  {
    family: 'He',
    torch: 'kaiming',
    scale: 2,
    mode: 'fan_in',
    reference: HE,
    variance: '2 / fan_in',
    limit: 'sqrt(6 / fan_in)',
    torchUniform: 'kaiming_uniform_, the same at its defaults, which are a leaky ReLU of slope 0',
    torchNormal: 'kaiming_normal_, not cut (TorchKaimingNormal)',
  },
  {
    family: 'Lecun',
    torch: undefined,
    scale: 1,
    mode: 'fan_in',
    reference: LECUN,
    variance: '1 / fan_in',
    limit: 'sqrt(3 / fan_in)',
    torchUniform: 'none; kaiming_uniform_ with nonlinearity linear is the same',
    torchNormal: 'none; kaiming_normal_ with nonlinearity linear is it, not cut',
  },
] as const

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
    written: AXES,
    law: (config, shape) => {
      const { distribution } = config
      const named = distribution === 'normal' ? 'truncated_normal' : distribution
      return varianceScaling({ ...config, distribution: named } as VarianceScaling, shape)
    },
    distribution: 'truncated_normal, untruncated_normal or uniform',
    formula: 'variance scale / max(1, fan), fan = fan_in, fan_out, their mean or their geometric mean',
    reference: HE,
    notes: `TensorFlow v1, v2 and Keras: the same, "normal" being a cut one; JAX: "normal" is not cut, fan_geo_avg is its own, no fan is raised to 1, ranks below 2 are refused; torch: none. Kernels that are grouped or depthwise: fans by the shape alone, in all of them. ${SEEDS} ${NO_AXES}`,
  }),
  ...families.flatMap(
    ({ family, torch, scale, mode, reference, variance, limit, torchUniform, torchNormal }) => [
      scaled(
        `${family}Uniform`,
        { scale, mode, distribution: 'uniform' },
        {
          words: torch ? [`${torch}_uniform`] : [],
          formula: `U(-l, l), l = ${limit}`,
          reference,
          notes: `TensorFlow v1, v2, Keras and JAX: the same; torch: ${torchUniform}. ${SEEDS}`,
        },
      ),
      scaled(
        `${family}Normal`,
        { scale, mode, distribution: 'truncated_normal' },
        {
          words: torch ? [`${torch}_normal`] : [],
          formula: `truncated normal of variance ${variance}`,
          reference,
          notes: `${CUT}; torch: ${torchNormal}. ${SEEDS}`,
        },
      ),
    ],
  ),
  define('UniformUnitScaling', {
    config: closed({ factor: number(1, 'Factor on the limit', { exclusiveMinimum: 0 }), seed: Seed }),
    law: ({ factor }, shape) => {
      const limit = (factor as number) * Math.sqrt(3 / Math.max(1, sizeOf(shape.slice(0, -1))))
      return { kind: 'uniform', low: -limit, high: limit }
    },
    distribution: 'uniform',
    formula: 'U(-l, l), l = factor sqrt(3 / n), n = all dimensions but the last multiplied',
    reference: 'tensorflow/python/ops/init_ops.py; Sussillo and Abbott, 2014, arXiv:1412.6558',
    notes: `TensorFlow v1: the same, deprecated for VarianceScaling; v2, Keras, JAX and torch: none. For kernels n is fan_in; for vectors it is 1, where VarianceScaling takes the length. ${SEEDS}`,
  }),
]
