import Type from 'typebox'
import { closed } from '../../common/schema.ts'
import { computeQuantiles, type BoundedNormal } from '../bounded-normal.ts'
import { Seed, type InitializerDefinition } from '../initializer.ts'
import { varianceScaling } from '../variance-scaling.ts'
import { define, SAME_DISTRIBUTION, number, TORCH } from './define.ts'
import type { Frameworks } from './frameworks.ts'

type Config = Readonly<Record<string, unknown>>
type Distribution = 'untruncated_normal' | 'uniform'

const FANS = 'Fans are computed for the layout [...window, in, out]; ranks below 2 are rejected, as in torch.'
const matrices = {
  v1: null,
  reference: TORCH,
  ranks: { min: 2, max: null },
  remarks: [FANS, SAME_DISTRIBUTION],
}

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

/** The config and law of a class of kaiming_*_. */
const kaiming = (distribution: Distribution) => ({
  config: closed({
    a: number(0, 'Slope of a leaky ReLU below 0; unused by other nonlinearities'),
    mode: Type.Optional(Type.Enum(['fan_in', 'fan_out'], { default: 'fan_in' })),
    nonlinearity: Type.Optional(
      Type.Enum(NONLINEARITIES, {
        default: 'leaky_relu',
        description:
          'Gain: linear, conv*, conv_transpose* and sigmoid 1, tanh 5/3, relu sqrt(2), leaky_relu sqrt(2 / (1 + a^2)), selu 3/4',
      }),
    ),
    seed: Seed,
  }),
  // A slope without effect takes its default, so equal laws have equal configs.
  normalizeConfig: (config: Config) =>
    config['nonlinearity'] === 'leaky_relu' ? config : { ...config, a: 0 },
  law: (config: Config, shape: readonly number[]) => {
    const mode = config['mode'] as 'fan_in' | 'fan_out'
    return varianceScaling({ scale: squaredGain(config), mode, distribution }, shape)
  },
  distribution,
  ...matrices,
})

/** The config and law of a class of xavier_*_. */
const xavier = (distribution: Distribution) => ({
  config: closed({
    gain: number(1, 'Factor on the standard deviation', { exclusiveMinimum: 0 }),
    seed: Seed,
  }),
  law: ({ gain }: Config, shape: readonly number[]) =>
    varianceScaling({ scale: (gain as number) ** 2, mode: 'fan_avg', distribution }, shape),
  distribution,
  ...matrices,
})

function bounds({ mean, std, a, b }: Config): BoundedNormal {
  const [low, high] = [Math.fround(a as number), Math.fround(b as number)]
  return { mean: mean as number, std: std as number, low, high }
}

/** At 37 standard deviations from the mean. Quantiles of smaller probabilities have no correct digits. */
const SMALLEST_MASS = 1e-300

/** Entries of classes that only torch has. */
function elsewhere(others: string, torch: string): Frameworks {
  return { tensorflow1: others, tensorflow2: others, keras: others, jax: others, torch }
}

/** torch's initializers where TensorFlow's of the same name have another law. */
export const torchDefinitions: readonly InitializerDefinition[] = [
  define('TorchKaimingUniform', {
    ...kaiming('uniform'),
    otherNames: ['kaiming_uniform_'],
    formula: 'U(-l, l), l = gain sqrt(3 / fan)',
    frameworks: elsewhere(
      'kaiming_uniform is HeUniform, which equals this class at its defaults',
      'kaiming_uniform_, with a = 2.23606797749979 (sqrt 5) in its convolutions and dense layers: U(+-1 / sqrt(fan_in))',
    ),
  }),
  define('TorchKaimingNormal', {
    ...kaiming('untruncated_normal'),
    otherNames: ['kaiming_normal_'],
    formula: 'N(0, gain^2 / fan)',
    frameworks: elsewhere(
      'kaiming_normal is HeNormal, which is truncated',
      'kaiming_normal_, in torchvision and timm with mode fan_out and nonlinearity relu',
    ),
  }),
  define('TorchXavierUniform', {
    ...xavier('uniform'),
    otherNames: ['xavier_uniform_'],
    formula: 'U(-l, l), l = gain sqrt(6 / (fan_in + fan_out))',
    frameworks: elsewhere(
      'xavier_uniform is GlorotUniform, which equals this class at gain 1',
      'xavier_uniform_',
    ),
  }),
  define('TorchXavierNormal', {
    ...xavier('untruncated_normal'),
    otherNames: ['xavier_normal_'],
    formula: 'N(0, 2 gain^2 / (fan_in + fan_out))',
    frameworks: elsewhere('xavier_normal is GlorotNormal, which is truncated', 'xavier_normal_'),
  }),
  define('TorchTruncNormal', {
    otherNames: ['trunc_normal_'],
    v1: null,
    reference: TORCH,
    config: closed({
      mean: number(0, 'Mean before truncation'),
      std: number(1, 'Standard deviation before truncation', { exclusiveMinimum: 0 }),
      a: number(-2, 'Lower bound of the values'),
      b: number(2, 'Upper bound of the values'),
      seed: Seed,
    }),
    findProblem: (config) => {
      const between = bounds(config)
      if (between.low >= between.high) return ['b', `must be above a (${String(config['a'])}) in float32`]
      if (computeQuantiles(between).mass >= SMALLEST_MASS) return undefined
      return ['mean', 'is more than 37 std away from the interval [a, b]; move the mean or the bounds']
    },
    law: (config) => ({ kind: 'bounded_normal', ...bounds(config) }),
    distribution: 'bounded_normal',
    formula: 'N(mean, std^2) between a and b',
    frameworks: elsewhere(
      'truncated_normal truncates at 2 stddev from its mean',
      'trunc_normal_, whose bounds are values, not multiples of std: at std 0.02 the default bounds truncate nothing',
    ),
    remarks: ['No framework widens the normal before truncation.', SAME_DISTRIBUTION],
  }),
]
