import type { Initializer } from '../initializers/initializer.ts'
import type { Law } from '../initializers/law.ts'
import { varianceScaling, type VarianceScaling } from '../initializers/variance-scaling.ts'

/** How kernels lie in memory: [...window, in, out], or [out, in, ...window] as torch has them. */
export type Layout = 'keras' | 'torch'

/** Laws of independent entries by which tensors are commonly drawn. */
export type CandidateLaw = Extract<Law, { kind: 'uniform' | 'normal' | 'truncated_normal' }>

/** A guess: an initializer, and the law it gives for the tensor's shape. */
export interface Candidate {
  readonly initializer: Initializer
  readonly law: CandidateLaw
}

/** The shape as TensorFlow would have it, for which fans are defined. */
export function kerasShape(shape: readonly number[], layout: Layout): number[] {
  if (layout === 'keras' || shape.length < 2) return [...shape]
  const [outputs = 1, inputs = 1, ...window] = shape
  return [...window, inputs, outputs]
}

const MODES = ['fan_in', 'fan_avg', 'fan_out'] as const
const DISTRIBUTIONS = ['uniform', 'truncated_normal', 'untruncated_normal'] as const

/** Classes of their own among the scaled laws. */
const NAMED: Readonly<Record<string, string>> = {
  '1 fan_avg uniform': 'GlorotUniform',
  '1 fan_avg truncated_normal': 'GlorotNormal',
  '2 fan_in truncated_normal': 'HeNormal',
  '2 fan_in uniform': 'HeUniform',
  '1 fan_in truncated_normal': 'LecunNormal',
  '1 fan_in uniform': 'LecunUniform',
}
/** torch's default, kaiming_uniform_(a=sqrt(5)): U(+-1 / sqrt(fan_in)). */
const TORCH_DEFAULT: VarianceScaling = { scale: 1 / 3, mode: 'fan_in', distribution: 'uniform' }

/** Deviations that frameworks and papers give as a number. */
const DEVIATIONS = [0.05, 0.02, 0.01, 0.001, 1]
/** Bounds: Keras's RandomUniform, JAX's, torch's uniform_ and embeddings'. */
const BOUNDS: readonly [number, number][] = [
  [-0.05, 0.05],
  [0, 0.01],
  [0, 1],
  [-1, 1],
  [-0.1, 0.1],
]

/**
 * The initializers a tensor of independent entries may come from, the more usual ones first: where two give the same
 * law, nothing but habit tells them apart. `biasFan` is the fan_in of the kernel that a bias belongs to.
 */
export function candidatesFor(shape: readonly number[], layout: Layout, biasFan?: number): Candidate[] {
  const scaled = shape.length >= 2 ? scaledCandidates(kerasShape(shape, layout), layout) : []
  const bound = biasFan === undefined ? [] : [1 / Math.sqrt(biasFan)]
  return [
    ...bound.map((limit) => uniform(-limit, limit)),
    ...scaled,
    ...DEVIATIONS.flatMap((std) => [normal('truncated_normal', std), normal('normal', std)]),
    ...BOUNDS.map(([low, high]) => uniform(low, high)),
  ]
}

function scaledCandidates(shape: readonly number[], layout: Layout): Candidate[] {
  const scalings = [1, 2].flatMap((scale) =>
    MODES.flatMap((mode) => DISTRIBUTIONS.map((distribution) => ({ scale, mode, distribution }))),
  )
  const candidates = [...scalings, TORCH_DEFAULT].map((scaling): Candidate => {
    const { scale, mode, distribution } = scaling
    const name = NAMED[`${String(scale)} ${mode} ${distribution}`]
    return {
      initializer: name
        ? { class_name: name, config: {} }
        : { class_name: 'VarianceScaling', config: { ...scaling } },
      law: varianceScaling(scaling, shape) as CandidateLaw,
    }
  })
  // torch draws its normals uncut.
  const habit = ({ initializer: { class_name, config }, law }: Candidate): number => {
    if (layout === 'torch') return law.kind === 'truncated_normal' ? 1 : 0
    return ['GlorotUniform', 'HeNormal'].includes(class_name) ? 0 : 'scale' in config ? 2 : 1
  }
  return candidates.sort((a, b) => habit(a) - habit(b))
}

function normal(kind: 'normal' | 'truncated_normal', stddev: number): Candidate {
  const class_name = kind === 'normal' ? 'RandomNormal' : 'TruncatedNormal'
  return { initializer: { class_name, config: { mean: 0, stddev } }, law: { kind, mean: 0, std: stddev } }
}

function uniform(minval: number, maxval: number): Candidate {
  const initializer = { class_name: 'RandomUniform', config: { minval, maxval } }
  return { initializer, law: { kind: 'uniform', low: minval, high: maxval } }
}
