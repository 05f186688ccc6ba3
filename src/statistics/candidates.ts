import { fansOf, sizeOf } from '../initializers/fans.ts'
import type { Initializer } from '../initializers/initializer.ts'
import type { Law } from '../initializers/law.ts'
import { varianceScaling, type VarianceScaling } from '../initializers/variance-scaling.ts'

/** The layout of kernels: [...window, in, out] (keras), or [out, in, ...window] (torch). */
export type Layout = 'keras' | 'torch'

/** Laws of independent entries that are common for tensors. */
export type CandidateLaw = Extract<Law, { kind: 'uniform' | 'normal' | 'truncated_normal' }>

/** A candidate initializer, with its law for the tensor's shape. */
export interface Candidate {
  readonly initializer: Initializer
  readonly law: CandidateLaw
}

/** The shape in TensorFlow's layout, for which fans are defined. */
export function kerasShape(shape: readonly number[], layout: Layout): number[] {
  if (layout === 'keras' || shape.length < 2) return [...shape]
  const [outputs = 1, inputs = 1, ...window] = shape
  return [...window, inputs, outputs]
}

const MODES = ['fan_in', 'fan_avg', 'fan_out'] as const
const DISTRIBUTIONS = ['uniform', 'truncated_normal', 'untruncated_normal'] as const

/** Scaled laws that have their own class. */
const NAMED: Readonly<Record<string, string>> = {
  '1 fan_avg uniform': 'GlorotUniform',
  '1 fan_avg truncated_normal': 'GlorotNormal',
  '2 fan_in truncated_normal': 'HeNormal',
  '2 fan_in uniform': 'HeUniform',
  '1 fan_in truncated_normal': 'LecunNormal',
  '1 fan_in uniform': 'LecunUniform',
}
const OTHERS: readonly VarianceScaling[] = [
  // U(+-1 / sqrt(fan_in)): torch's default, kaiming_uniform_(a=sqrt(5)), and Equinox's.
  { scale: 1 / 3, mode: 'fan_in', distribution: 'uniform' },
  // EfficientNet's last layer.
  { scale: 1 / 3, mode: 'fan_out', distribution: 'uniform' },
  // CLIP's wide layers.
  { scale: 1 / 2, mode: 'fan_in', distribution: 'untruncated_normal' },
]

/** Standard deviations that frameworks and papers state as numbers. */
const DEVIATIONS = [0.05, 0.02, 0.01, 0.1, 0.001, 1e-6, 1]
/** Bounds of Keras's RandomUniform, JAX's uniform, torch's uniform_ and embeddings. */
const BOUNDS: readonly [number, number][] = [
  [-0.05, 0.05],
  [0, 0.01],
  [0, 1],
  [-1, 1],
  [-0.1, 0.1],
]

/**
 * The initializers that a tensor of independent entries may come from, the more usual ones first: if two have the
 * same law, only their frequency of use separates them. `biasFan` is the fan_in of the kernel that a bias belongs
 * to.
 */
export function candidatesFor(shape: readonly number[], layout: Layout, biasFan?: number): Candidate[] {
  const bound = biasFan === undefined ? [] : [1 / Math.sqrt(biasFan)]
  return [
    ...bound.map(symmetric),
    ...(shape.length >= 2 ? scaledCandidates(kerasShape(shape, layout), layout) : []),
    ...DEVIATIONS.flatMap((std) => [normal('truncated_normal', 0, std), normal('normal', 0, std)]),
    ...BOUNDS.map(([low, high]) => uniform(low, high)),
    ...recurrentBounds(shape, layout).map(symmetric),
    ...vectorCandidates(shape),
  ]
}

/** Numbers of gates whose weights are concatenated: in an LSTM, a GRU, a plain cell. */
const GATES = [4, 3, 1]

/** torch and Equinox draw all parameters of a recurrent cell from U(+-1 / sqrt(hidden)). */
function recurrentBounds([rows = 1, ...others]: readonly number[], layout: Layout): number[] {
  if (others.length > 1 || (layout === 'keras' && others.length > 0)) return []
  return GATES.filter((gates) => rows % gates === 0).map((gates) => 1 / Math.sqrt(rows / gates))
}

/** Class tokens of CLIP, and scales of norms in adversarial networks. */
function vectorCandidates(shape: readonly number[]): Candidate[] {
  const lengths = shape.filter((length) => length > 1)
  if (lengths.length !== 1) return []
  return [normal('normal', 0, 1 / Math.sqrt(lengths[0] ?? 1)), normal('normal', 1, 0.02)]
}

/**
 * The shapes whose fans an initializer may have used. A kernel of rank 3 or more is a convolution, or maps its
 * first axes to the others, as in attention. For such kernels Keras (with named axes) and Flax compute the fans of
 * a matrix.
 */
function shapeReadings(shape: readonly number[], layout: Layout): (readonly number[])[] {
  if (layout === 'torch' || shape.length < 3) return [shape]
  const splits = shape
    .slice(1)
    .map((_, index) => [shape.slice(0, index + 1), shape.slice(index + 1)] as const)
  return [shape, ...splits.map(([inputs, outputs]) => [sizeOf(inputs), sizeOf(outputs)])]
}

function scaledCandidates(shape: readonly number[], layout: Layout): Candidate[] {
  const scalings = [1, 2].flatMap((scale) =>
    MODES.flatMap((mode) => DISTRIBUTIONS.map((distribution) => ({ scale, mode, distribution }))),
  )
  // torch's normals are not truncated.
  const habit = ({ initializer: { class_name, config }, law }: Candidate): number => {
    if (layout === 'torch') return law.kind === 'truncated_normal' ? 1 : 0
    return ['GlorotUniform', 'HeNormal'].includes(class_name) ? 0 : 'scale' in config ? 2 : 1
  }
  return shapeReadings(shape, layout).flatMap((read) => {
    const candidates = [...scalings, ...OTHERS].map((scaling): Candidate => {
      const { scale, mode, distribution } = scaling
      const name = NAMED[`${String(scale)} ${mode} ${distribution}`]
      return {
        initializer: name
          ? { class_name: name, config: {} }
          : { class_name: 'VarianceScaling', config: { ...scaling } },
        law: varianceScaling(scaling, read) as CandidateLaw,
      }
    })
    return [...candidates.sort((a, b) => habit(a) - habit(b)), ...unwidened(read)]
  })
}

/** The default of Haiku and Sonnet: a normal of standard deviation 1 / sqrt(fan), truncated and not widened. */
function unwidened(shape: readonly number[]): Candidate[] {
  const { fanIn, fanOut } = fansOf(shape)
  return [fanIn, fanOut].map((fan) => normal('truncated_normal', 0, 1 / Math.sqrt(fan)))
}

function normal(kind: 'normal' | 'truncated_normal', mean: number, stddev: number): Candidate {
  const class_name = kind === 'normal' ? 'RandomNormal' : 'TruncatedNormal'
  return { initializer: { class_name, config: { mean, stddev } }, law: { kind, mean, std: stddev } }
}

function symmetric(limit: number): Candidate {
  return uniform(-limit, limit)
}

function uniform(minval: number, maxval: number): Candidate {
  const initializer = { class_name: 'RandomUniform', config: { minval, maxval } }
  return { initializer, law: { kind: 'uniform', low: minval, high: maxval } }
}
