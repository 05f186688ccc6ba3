import Type from 'typebox'
import { closed } from '../../common/schema.ts'
import { computeQuantiles, type BoundedNormal } from '../bounded-normal.ts'
import { Seed, type InitializerDefinition } from '../initializer.ts'
import { varianceScaling } from '../variance-scaling.ts'
import { define, LAW_ONLY, number, TORCH } from './define.ts'

type Config = Readonly<Record<string, unknown>>
type Distribution = 'untruncated_normal' | 'uniform'

const RULES =
  'Fans are those of the same kernel in the layout [...window, in, out]; ranks below 2 are refused, as in torch.'

const NONLINEARITIES = [
  ...['linear', 'conv1d', 'conv2d', 'conv3d', 'conv_transpose1d', 'conv_transpose2d', 'conv_transpose3d'],
  ...['sigmoid', 'tanh', 'relu', 'leaky_relu', 'selu'],
]

/** `torch.nn.init.calculate_gain`. The square is the factor of the variance on 1 / fan. */
function squaredGain({ nonlinearity, a }: Config): number {
  switch (nonlinearity) {
    case 'tanh':
      return 25 / 9
    case 'relu':
      return 2
    case 'leaky_relu':
      return 2 / (1 + (a as number) ** 2)
    case 'selu':
      return 9 / 16
    default:
      return 1
  }
}

/** torch's names for a class: its function, which ends in an underscore, and `torch_*`. */
function torch(
  name: string,
  word: string,
  described: Omit<Parameters<typeof define>[1], 'words' | 'v1' | 'reference'>,
): InitializerDefinition {
  return define(name, { words: [word], v1: null, reference: TORCH, ...described })
}

function kaiming(
  name: string,
  word: string,
  distribution: Distribution,
  formula: string,
  notes: string,
): InitializerDefinition {
  return torch(name, word, {
    config: closed({
      a: number(0, 'Slope of a leaky ReLU below 0; no other nonlinearity has one'),
      mode: Type.Optional(Type.Enum(['fan_in', 'fan_out'], { default: 'fan_in' })),
      nonlinearity: Type.Optional(
        Type.Enum(NONLINEARITIES, {
          default: 'leaky_relu',
          description:
            'Gain: 1 up to sigmoid, tanh 5/3, relu sqrt(2), leaky_relu sqrt(2 / (1 + a^2)), selu 3/4',
        }),
      ),
      seed: Seed,
    }),
    // A slope without effect takes its default, so equal laws have equal configs.
    settled: (config) => (config['nonlinearity'] === 'leaky_relu' ? config : { ...config, a: 0 }),
    law: (config, shape) => {
      const mode = config['mode'] as 'fan_in' | 'fan_out'
      return varianceScaling({ scale: squaredGain(config), mode, distribution }, shape)
    },
    distribution,
    formula,
    ranks: { min: 2, max: null },
    notes: `${notes} ${RULES} ${LAW_ONLY}`,
  })
}

function xavier(
  name: string,
  word: string,
  distribution: Distribution,
  formula: string,
  notes: string,
): InitializerDefinition {
  return torch(name, word, {
    config: closed({
      gain: number(1, 'Factor on the standard deviation', { exclusiveMinimum: 0 }),
      seed: Seed,
    }),
    law: ({ gain }, shape) =>
      varianceScaling({ scale: (gain as number) ** 2, mode: 'fan_avg', distribution }, shape),
    distribution,
    formula,
    ranks: { min: 2, max: null },
    notes: `${notes} ${RULES} ${LAW_ONLY}`,
  })
}

function bounds({ mean, std, a, b }: Config): BoundedNormal {
  const [low, high] = [Math.fround(a as number), Math.fround(b as number)]
  return { mean: mean as number, std: std as number, low, high }
}

/**
 * Below this, 37 standard deviations from the mean, quantiles of such small probabilities have no digits
 * left.
 */
const SMALLEST_MASS = 1e-300

/** torch's initializers where TensorFlow's of the same name have another law. */
export const torchDefinitions: readonly InitializerDefinition[] = [
  kaiming(
    'TorchKaimingUniform',
    'kaiming_uniform_',
    'uniform',
    'U(-l, l), l = gain sqrt(3 / fan)',
    'torch: kaiming_uniform_; a = 2.23606797749979 (sqrt 5) is what its convolutions and dense layers start with, U(+-1 / sqrt(fan_in)). TensorFlow, Keras and JAX: kaiming_uniform is HeUniform, this at its defaults.',
  ),
  kaiming(
    'TorchKaimingNormal',
    'kaiming_normal_',
    'untruncated_normal',
    'N(0, gain^2 / fan)',
    'torch: kaiming_normal_; torchvision and timm take mode fan_out and nonlinearity relu. TensorFlow, Keras and JAX: kaiming_normal is HeNormal, a cut one.',
  ),
  xavier(
    'TorchXavierUniform',
    'xavier_uniform_',
    'uniform',
    'U(-l, l), l = gain sqrt(6 / (fan_in + fan_out))',
    'torch: xavier_uniform_. TensorFlow, Keras and JAX: xavier_uniform is GlorotUniform, this at gain 1.',
  ),
  xavier(
    'TorchXavierNormal',
    'xavier_normal_',
    'untruncated_normal',
    'N(0, 2 gain^2 / (fan_in + fan_out))',
    'torch: xavier_normal_. TensorFlow, Keras and JAX: xavier_normal is GlorotNormal, a cut one.',
  ),
  torch('TorchTruncNormal', 'trunc_normal_', {
    config: closed({
      mean: number(0, 'Mean before the cut'),
      std: number(1, 'Standard deviation before the cut', { exclusiveMinimum: 0 }),
      a: number(-2, 'Lower bound of the values'),
      b: number(2, 'Upper bound of the values'),
      seed: Seed,
    }),
    problem: (config) => {
      const between = bounds(config)
      if (between.low >= between.high) return ['b', `must be above a (${String(config['a'])}) in float32`]
      if (computeQuantiles(between).mass >= SMALLEST_MASS) return undefined
      return ['mean', 'is more than 37 std away from all of [a, b]; move it, or the bounds']
    },
    law: (config) => ({ kind: 'bounded_normal', ...bounds(config) }),
    distribution: 'bounded_normal',
    formula: 'N(mean, std^2) between a and b',
    notes: `torch: trunc_normal_, whose bounds are values, not deviations: at std 0.02 the default ones cut nothing. TensorFlow, Keras and JAX: truncated_normal cuts at 2 stddev of its mean. None of them widens. ${LAW_ONLY}`,
  }),
]
