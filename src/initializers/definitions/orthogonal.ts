import { closed } from '../../common/schema.ts'
import { Seed, type InitializerDefinition } from '../initializer.ts'
import { define, SAME_DISTRIBUTION, number, SEEDS, type Description } from './define.ts'

const XIAO =
  'Xiao et al., Dynamical isometry and a mean field theory of CNNs, 2018, arXiv:1806.05393; tensorflow/python/ops/init_ops.py'
/** A window with n taps along a side costs n - 1 decompositions for that side. */
const LONGEST_SIDE = 64

const gain = (description: string) => closed({ gain: number(1, description), seed: Seed })

/** An isometry needs at least as many outputs as inputs to keep every norm. */
function tooManyInputs(shape: readonly number[]): readonly [undefined, string] | undefined {
  const [inputs = 1, outputs = 1] = shape.slice(-2)
  if (inputs <= outputs) return undefined
  const more = `${String(inputs)} inputs into ${String(outputs)} outputs`
  return [undefined, `cannot keep norms from ${more}; it needs shape[-2] <= shape[-1]`]
}

function unequalSides(shape: readonly number[]): readonly [undefined, string] | undefined {
  const window = shape.slice(0, -2)
  const [side = 1] = window
  if (window.some((size) => size !== side)) return [undefined, 'needs a window of equal sides']
  if (side > LONGEST_SIDE)
    return [undefined, `needs a window of at most ${String(LONGEST_SIDE)} taps along each side`]
  return undefined
}

/** The parts of the three ConvolutionOrthogonal classes that do not depend on the number of dimensions. */
const convolutionOrthogonal: Omit<Description, 'otherNames' | 'ranks'> = {
  config: gain('Factor on every norm'),
  findShapeProblem: (_, shape) => tooManyInputs(shape) ?? unequalSides(shape),
  law: ({ gain }) => ({ kind: 'convolution_orthogonal', gain: gain as number }),
  distribution: 'convolution_orthogonal',
  formula:
    'gain * an orthogonal [in, out] matrix convolved with size - 1 pairs of taps (P, I - P) along each side, P a random projector; an isometry as a circular convolution',
  reference: XIAO,
  frameworks: {
    tensorflow1:
      'the same algorithm, but each inner draw increments the seed, and with seed 0 all draws are equal and most taps are zero',
    tensorflow2: 'none',
    keras: 'none',
    jax: 'none',
    torch: 'none',
  },
  remarks: [SAME_DISTRIBUTION],
}

export const orthogonalDefinitions: readonly InitializerDefinition[] = [
  define('Orthogonal', {
    otherNames: ['OrthogonalInitializer', 'orthogonal_'],
    config: gain('Factor on the orthonormal matrix'),
    law: ({ gain }) => ({ kind: 'orthogonal', gain: gain as number }),
    distribution: 'orthogonal',
    formula:
      'gain * Q of a QR decomposition of a normal matrix, kernel flattened to [prod(shape[:-1]), shape[-1]]',
    reference: 'Saxe et al., Exact solutions to the nonlinear dynamics of learning, 2014, arXiv:1312.6120',
    ranks: { min: 2, max: null },
    frameworks: {
      tensorflow1: 'the same',
      tensorflow2: 'the same',
      keras: 'the same',
      jax: 'gain is called scale, and column_axis is selectable',
      torch: 'orthogonal_ flattens to out x (in * window), the transpose, so the law is the same',
    },
    remarks: [
      'The flattened kernel is orthogonal; the convolution is not an isometry.',
      "QR decompositions of different linear algebra libraries agree to about 1e-6; the last bits of TensorFlow's own depend on the size of the processor's first data cache where the shorter side is 64 or more.",
      SEEDS,
    ],
  }),
  define('ConvolutionDeltaOrthogonal', {
    otherNames: ['convolutional_delta_orthogonal', 'delta_orthogonal'],
    config: gain('Factor on every norm'),
    findShapeProblem: (_, shape) => tooManyInputs(shape),
    law: ({ gain }) => ({ kind: 'delta_orthogonal', gain: gain as number }),
    distribution: 'delta_orthogonal',
    formula:
      'gain * the first rows of an orthogonal [out, out] matrix at tap (size - 1) // 2 of each side, 0 elsewhere; an isometry as a circular convolution',
    reference: XIAO,
    ranks: { min: 3, max: 5 },
    frameworks: {
      tensorflow1: 'convolutional_delta_orthogonal, the same',
      tensorflow2: 'none',
      keras: 'none',
      jax: 'delta_orthogonal, where gain is called scale',
      torch: 'none',
    },
    remarks: [SAME_DISTRIBUTION],
  }),
  define('ConvolutionOrthogonal1D', {
    ...convolutionOrthogonal,
    otherNames: ['convolutional_orthogonal_1d'],
    ranks: { min: 3, max: 3 },
  }),
  define('ConvolutionOrthogonal2D', {
    ...convolutionOrthogonal,
    otherNames: ['convolutional_orthogonal_2d'],
    ranks: { min: 4, max: 4 },
  }),
  define('ConvolutionOrthogonal3D', {
    ...convolutionOrthogonal,
    otherNames: ['convolutional_orthogonal_3d'],
    ranks: { min: 5, max: 5 },
  }),
]
