import Type, { type Static } from 'typebox'
import { nullable, Num } from '../common/schema.ts'
import { boundedMoments, type BoundedNormal } from './bounded-normal.ts'
import { sizeOf } from './fans.ts'

/**
 * The law of an initialized tensor: its distribution with numbers. Every initializer resolves to a law for a shape;
 * drawing, theory and tests start from the law.
 */
export type Law =
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'uniform'; readonly low: number; readonly high: number }
  | { readonly kind: 'normal'; readonly mean: number; readonly std: number }
  /** `std` is the standard deviation before truncation at two standard deviations. */
  | { readonly kind: 'truncated_normal'; readonly mean: number; readonly std: number }
  /** The bounds are float32 numbers, so rounding does not exceed them. */
  | ({ readonly kind: 'bounded_normal' } & BoundedNormal)
  /**
   * The kernel flattened to [product of shape[:-1], shape[-1]]. The vectors along its shorter side are orthogonal
   * and have length `gain`.
   */
  | { readonly kind: 'orthogonal'; readonly gain: number }
  /** Orthogonal rows [in, out] at tap (size - 1) // 2 of the window, 0 elsewhere. */
  | { readonly kind: 'delta_orthogonal'; readonly gain: number }
  /** A kernel that multiplies every norm by the gain, as a circularly padded convolution. */
  | { readonly kind: 'convolution_orthogonal'; readonly gain: number }
  | FixedValues
  | { readonly kind: 'identity'; readonly gain: number }
  /** `gain` connects input d of each group to its output d, at tap size // 2 of the window. */
  | { readonly kind: 'dirac'; readonly groups: number; readonly gain: number }

/**
 * Values in row-major order. Without `dimensions` the last value is repeated to the end. With `dimensions` (the
 * tensor's rank, each size the tensor's or 1) the array is broadcast.
 */
export interface FixedValues {
  readonly kind: 'values'
  readonly values: readonly number[]
  readonly dimensions?: readonly number[]
}

/** Laws with independent entries. */
export type ElementwiseLaw = Extract<
  Law,
  { kind: 'uniform' | 'normal' | 'truncated_normal' | 'bounded_normal' }
>
/** The elementwise laws that TensorFlow draws with one op each. */
export type RandomLaw = Exclude<ElementwiseLaw, { kind: 'bounded_normal' }>
/** Laws without randomness. */
export type FixedLaw = Extract<Law, { kind: 'constant' | 'values' | 'identity' | 'dirac' }>

export function isElementwise(law: Law): law is ElementwiseLaw {
  return ['uniform', 'normal', 'truncated_normal', 'bounded_normal'].includes(law.kind)
}

export function isFixed(law: Law): law is FixedLaw {
  return ['constant', 'values', 'identity', 'dirac'].includes(law.kind)
}

/** The law of a tensor multiplied by a positive factor. The factor is applied before any rounding. */
export function scaled(law: Law, factor: number): Law {
  switch (law.kind) {
    case 'constant':
      return { ...law, value: Math.fround(law.value * factor) }
    case 'values':
      return { ...law, values: law.values.map((value) => Math.fround(value * factor)) }
    case 'uniform':
      return { ...law, low: law.low * factor, high: law.high * factor }
    case 'normal':
    case 'truncated_normal':
      return { ...law, mean: law.mean * factor, std: law.std * factor }
    case 'bounded_normal': {
      const [low, high] = [Math.fround(law.low * factor), Math.fround(law.high * factor)]
      return { ...law, mean: law.mean * factor, std: law.std * factor, low, high }
    }
    case 'orthogonal':
    case 'delta_orthogonal':
    case 'convolution_orthogonal':
    case 'identity':
    case 'dirac':
      return { ...law, gain: law.gain * factor }
  }
}

/** sqrt(1 - 4 phi(2) / (2 Phi(2) - 1)): standard deviation of N(0, 1) truncated at two (`init_ops.py`). */
export const TRUNCATION_STD = 0.87962566103423978
/** P(|z| < 2): the probability within the truncation. */
export const TRUNCATION_MASS = 0.9544997361036416
/** Excess kurtosis of N(0, 1) truncated at two: E z^4 / (E z^2)^2 - 3, with phi(2) = 0.05399096651318806. */
const TRUNCATED_KURTOSIS = -0.6344632828703505

/**
 * The float32 factor and summand that TensorFlow and Keras apply to raw draws: `rnd * (max - min) + min` with both
 * bounds rounded first, `rnd * stddev + mean`.
 */
export function affineOf(law: RandomLaw): { scale: number; offset: number } {
  if (law.kind === 'uniform') {
    const low = Math.fround(law.low)
    return { scale: Math.fround(Math.fround(law.high) - low), offset: low }
  }
  return { scale: Math.fround(law.std), offset: Math.fround(law.mean) }
}

/** Returns a function from a row-major index to the value. */
export function valueAt(
  { values, dimensions }: FixedValues,
  shape: readonly number[],
): (index: number) => number {
  const last = values.at(-1) ?? 0
  if (dimensions === undefined) return (index) => values[index] ?? last
  return (index) => {
    let [place, stride, rest] = [0, 1, index]
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const [size = 1, own = 1] = [shape[axis], dimensions[axis]]
      if (own > 1) place += stride * (rest % size)
      stride *= own
      rest = Math.floor(rest / size)
    }
    return values[place] ?? last
  }
}

/** Theoretical moments of one entry. */
export const Theory = Type.Object({
  distribution: Type.String(),
  mean: Num,
  std: Num,
  variance: Num,
  min: nullable(Num, { description: 'null if the law is unbounded' }),
  max: nullable(Num),
  skewness: nullable(Type.Number()),
  kurtosis: nullable(Type.Number(), { description: 'Excess kurtosis; null if not defined for the law' }),
})
export type Theory = Static<typeof Theory>

export function theoryOf(law: Law, shape: readonly number[]): Theory {
  switch (law.kind) {
    case 'constant':
      return theory(law.kind, law.value, 0, [law.value, law.value], null, null)
    case 'uniform':
      return theory(
        law.kind,
        (law.low + law.high) / 2,
        (law.high - law.low) ** 2 / 12,
        [law.low, law.high],
        0,
        -1.2,
      )
    case 'normal':
      return theory(law.kind, law.mean, law.std ** 2, null, 0, 0)
    case 'truncated_normal': {
      const bounds = [law.mean - 2 * law.std, law.mean + 2 * law.std] as const
      return theory(law.kind, law.mean, (law.std * TRUNCATION_STD) ** 2, bounds, 0, TRUNCATED_KURTOSIS)
    }
    case 'bounded_normal': {
      const { mean, variance, skewness, kurtosis } = boundedMoments(law)
      return theory(law.kind, mean, variance, [law.low, law.high], skewness, kurtosis)
    }
    case 'orthogonal': {
      // Each vector along the shorter side has length gain, spread over the longer side.
      const columns = shape.at(-1) ?? 1
      const rows = shape.slice(0, -1).reduce((product, size) => product * size, 1)
      const bound = Math.abs(law.gain)
      return theory(law.kind, 0, law.gain ** 2 / Math.max(rows, columns), [-bound, bound], null, null)
    }
    case 'delta_orthogonal':
    case 'convolution_orthogonal': {
      // All taps of one input together have the norm gain, spread over window and outputs.
      const bound = Math.abs(law.gain)
      const spread = sizeOf(shape) / (shape.at(-2) ?? 1)
      return theory(law.kind, 0, law.gain ** 2 / spread, [-bound, bound], null, null)
    }
    case 'values':
      // Broadcasting repeats each value equally often.
      return theoryOfValues(law.values, law.dimensions ? law.values.length : sizeOf(shape))
    case 'identity': {
      const [rows = 1, columns = 1] = shape
      return theoryOfOnes(law.kind, law.gain, Math.min(rows, columns), rows * columns)
    }
    case 'dirac':
      return theoryOfOnes(law.kind, law.gain, diracOnes(law.groups, shape), sizeOf(shape))
  }
}

/** The number of ones in a Dirac kernel. */
function diracOnes(groups: number, shape: readonly number[]): number {
  return groups * Math.min(shape.at(-2) ?? 1, (shape.at(-1) ?? 1) / groups)
}

/** Theory of a tensor with `ones` entries of `gain` and zeros elsewhere. */
function theoryOfOnes(kind: Law['kind'], gain: number, ones: number, size: number): Theory {
  const share = ones / size
  const bounds = [share < 1 ? Math.min(0, gain) : gain, share < 1 ? Math.max(0, gain) : gain] as const
  return theory(kind, gain * share, gain ** 2 * share * (1 - share), bounds, null, null)
}

function theoryOfValues(values: readonly number[], size: number): Theory {
  const padding = size - values.length
  const last = values.at(-1) ?? 0
  const average = (f: (value: number) => number): number =>
    (values.reduce((sum, value) => sum + f(value), 0) + padding * f(last)) / size
  const mean = average((value) => value)
  const variance = average((value) => (value - mean) ** 2)
  const bounds = values.reduce<readonly [number, number]>(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [last, last],
  )
  return theory('values', mean, variance, bounds, null, null)
}

function theory(
  distribution: Law['kind'],
  mean: number,
  variance: number,
  bounds: readonly [number, number] | null,
  skewness: number | null,
  kurtosis: number | null,
): Theory {
  const [min, max] = bounds ?? [null, null]
  return { distribution, mean, std: Math.sqrt(variance), variance, min, max, skewness, kurtosis }
}
