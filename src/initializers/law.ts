import Type, { type Static } from 'typebox'
import { nullable, Num } from '../common/schema.ts'
import { boundedMoments, type BoundedNormal } from './bounded-normal.ts'
import { sizeOf } from './fans.ts'

/**
 * The law of an initialized tensor: its distribution and numbers. Every initializer resolves to a law for a
 * shape. Drawing, theory and tests start from it.
 */
export type Law =
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'uniform'; readonly low: number; readonly high: number }
  | { readonly kind: 'normal'; readonly mean: number; readonly std: number }
  /** `std` is the standard deviation of the normal before truncation at two standard deviations. */
  | { readonly kind: 'truncated_normal'; readonly mean: number; readonly std: number }
  /** The bounds are float32 numbers, so rounding never exceeds them. */
  | ({ readonly kind: 'bounded_normal' } & BoundedNormal)
  /** A matrix whose shorter side's vectors are orthogonal and of length gain, rows counted over shape[:-1]. */
  | { readonly kind: 'orthogonal'; readonly gain: number }
  /** Orthogonal rows [in, out] at tap (size - 1) // 2 of the window, 0 elsewhere. */
  | { readonly kind: 'delta_orthogonal'; readonly gain: number }
  /** A kernel that, as a circularly padded convolution, scales every norm by the gain. */
  | { readonly kind: 'convolution_orthogonal'; readonly gain: number }
  | FixedValues
  | { readonly kind: 'identity'; readonly gain: number }
  /** `gain` connects input d of each group to its output d, at tap size // 2 of the window. */
  | { readonly kind: 'dirac'; readonly groups: number; readonly gain: number }

/**
 * Row-major values, the last of them repeated to the end; or an array of these dimensions, as many as the tensor has, each
 * of which is the tensor's or 1, broadcast.
 */
export interface FixedValues {
  readonly kind: 'values'
  readonly values: readonly number[]
  readonly dimensions?: readonly number[]
}

/** The laws whose entries are independent draws. */
export type ElementwiseLaw = Extract<
  Law,
  { kind: 'uniform' | 'normal' | 'truncated_normal' | 'bounded_normal' }
>
/** The elementwise laws that TensorFlow draws with one op each. */
export type RandomLaw = Exclude<ElementwiseLaw, { kind: 'bounded_normal' }>
/** The laws without randomness. */
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

/** sqrt(1 - 4 phi(2) / (2 Phi(2) - 1)): the standard deviation of N(0, 1) cut at two (`init_ops.py`). */
export const TRUNCATION_STD = 0.87962566103423978
/** P(|z| < 2), the probability that truncation keeps. */
export const TRUNCATION_MASS = 0.9544997361036416
/** Excess kurtosis of N(0, 1) cut at two: E z^4 / (E z^2)^2 - 3, with phi(2) = 0.05399096651318806. */
const TRUNCATED_KURTOSIS = -0.6344632828703505

/**
 * The float32 factor and summand by which TensorFlow and Keras scale raw draws: `rnd * (max - min) + min` with both
 * bounds rounded first, `rnd * stddev + mean`.
 */
export function affineOf(law: RandomLaw): { scale: number; offset: number } {
  if (law.kind === 'uniform') {
    const low = Math.fround(law.low)
    return { scale: Math.fround(Math.fround(law.high) - low), offset: low }
  }
  return { scale: Math.fround(law.std), offset: Math.fround(law.mean) }
}

/** The value at each row-major place. */
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

/** What theory says of one entry. */
export const Theory = Type.Object({
  distribution: Type.String(),
  mean: Num,
  std: Num,
  variance: Num,
  min: nullable(Num, { description: 'null where the law has no bound' }),
  max: nullable(Num),
  skewness: nullable(Type.Number()),
  kurtosis: nullable(Type.Number(), { description: 'Excess; null where the law gives none' }),
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
      // Each of the shorter side's vectors has length gain, spread over the longer side.
      const columns = shape.at(-1) ?? 1
      const rows = shape.slice(0, -1).reduce((product, size) => product * size, 1)
      const bound = Math.abs(law.gain)
      return theory(law.kind, 0, law.gain ** 2 / Math.max(rows, columns), [-bound, bound], null, null)
    }
    case 'delta_orthogonal':
    case 'convolution_orthogonal': {
      // The taps of each input together have the norm gain, spread over window and outputs.
      const bound = Math.abs(law.gain)
      const spread = sizeOf(shape) / (shape.at(-2) ?? 1)
      return theory(law.kind, 0, law.gain ** 2 / spread, [-bound, bound], null, null)
    }
    case 'values':
      // What is broadcast repeats each value equally often.
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

/** `ones` entries of `gain`, all others 0. */
function theoryOfOnes(kind: Law['kind'], gain: number, ones: number, size: number): Theory {
  const share = ones / size
  const bounds = [share < 1 ? Math.min(0, gain) : gain, share < 1 ? Math.max(0, gain) : gain] as const
  return theory(kind, gain * share, gain ** 2 * share * (1 - share), bounds, null, null)
}

function theoryOfValues(values: readonly number[], size: number): Theory {
  const padding = size - values.length
  const last = values.at(-1) ?? 0
  const average = (of: (value: number) => number): number =>
    (values.reduce((sum, value) => sum + of(value), 0) + padding * of(last)) / size
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
