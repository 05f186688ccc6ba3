import { closed } from '../../common/schema.ts'
import { Seed, type InitializerDefinition } from '../initializer.ts'
import { define, LAW_ONLY, number, SEEDS } from './define.ts'

const XIAO =
  'Xiao et al., Dynamical isometry and a mean field theory of CNNs, 2018, arXiv:1806.05393; tensorflow/python/ops/init_ops.py'
/** A window of n taps a side takes n - 1 decompositions for each of its sides. */
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
  if (side > LONGEST_SIDE) return [undefined, `needs a window of at most ${String(LONGEST_SIDE)} a side`]
  return undefined
}

function convolutionOrthogonal(dimensions: 1 | 2 | 3): InitializerDefinition {
  const rank = dimensions + 2
  return define(`ConvolutionOrthogonal${String(dimensions)}D`, {
    words: [`convolutional_orthogonal_${String(dimensions)}d`],
    config: gain('Factor on every norm'),
    misfit: (_, shape) => tooManyInputs(shape) ?? unequalSides(shape),
    law: ({ gain }) => ({ kind: 'convolution_orthogonal', gain: gain as number }),
    distribution: 'convolution_orthogonal',
    formula:
      'gain * an orthogonal [in, out] matrix convolved with size - 1 pairs of taps (P, I - P) along each side, P a random projector; as a circular convolution an isometry',
    reference: XIAO,
    ranks: { min: rank, max: rank },
    notes: `TensorFlow v1: the same algorithm, but each inner draw steps the seed, and with seed 0 none does, so that most taps are zero; v2, Keras, JAX and torch: none. ${LAW_ONLY}`,
  })
}

export const orthogonalDefinitions: readonly InitializerDefinition[] = [
  define('Orthogonal', {
    words: ['OrthogonalInitializer', 'orthogonal_'],
    config: gain('Factor on the orthonormal matrix'),
    law: ({ gain }) => ({ kind: 'orthogonal', gain: gain as number }),
    distribution: 'orthogonal',
    formula:
      'gain * Q of a QR decomposition of a normal matrix, kernel flattened to [prod(shape[:-1]), shape[-1]]',
    reference: 'Saxe et al., Exact solutions to the nonlinear dynamics of learning, 2014, arXiv:1312.6120',
    ranks: { min: 2, max: null },
    notes: `TensorFlow v1, v2 and Keras: the same; JAX: scale for gain, column_axis selectable; torch: orthogonal_ flattens its layout to out x (in * window), the transpose, so the law is the same. Flattened it is orthogonal; as a convolution it is no isometry. QR agrees between linear algebra libraries to about 1e-6; TensorFlow's own differs in its last bits between processors with first data caches of different sizes, where the shorter side is 64 or more. ${SEEDS}`,
  }),
  define('ConvolutionDeltaOrthogonal', {
    words: ['convolutional_delta_orthogonal', 'delta_orthogonal'],
    config: gain('Factor on every norm'),
    misfit: (_, shape) => tooManyInputs(shape),
    law: ({ gain }) => ({ kind: 'delta_orthogonal', gain: gain as number }),
    distribution: 'delta_orthogonal',
    formula:
      'gain * the first rows of an orthogonal [out, out] matrix at tap (size - 1) // 2 of each side, 0 elsewhere; as a circular convolution an isometry',
    reference: XIAO,
    ranks: { min: 3, max: 5 },
    notes: `TensorFlow v1 (convolutional_delta_orthogonal): the same; JAX (delta_orthogonal): the same, scale for gain; v2, Keras and torch: none. ${LAW_ONLY}`,
  }),
  ...([1, 2, 3] as const).map(convolutionOrthogonal),
]
