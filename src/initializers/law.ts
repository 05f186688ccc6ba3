import Type, { type Static } from 'typebox'
import { nullable, Num } from '../schema.ts'

/**
 * The law of an initialized tensor: what is drawn, with which numbers. Every initializer resolves to one, for a
 * shape; drawing, theory and tests all start from it.
 */
export type Law =
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'uniform'; readonly low: number; readonly high: number }
  | { readonly kind: 'normal'; readonly mean: number; readonly std: number }
  /** `std` is that of the normal before it is cut at two standard deviations. */
  | { readonly kind: 'truncated_normal'; readonly mean: number; readonly std: number }
  | { readonly kind: 'orthogonal'; readonly gain: number }
  | { readonly kind: 'identity'; readonly gain: number }

/** The laws whose entries are independent draws, each `raw * scale + offset`. */
export type ElementwiseLaw = Extract<Law, { kind: 'uniform' | 'normal' | 'truncated_normal' }>

export function isElementwise(law: Law): law is ElementwiseLaw {
  return law.kind === 'uniform' || law.kind === 'normal' || law.kind === 'truncated_normal'
}

/** The law of a tensor whose entries are multiplied by a positive factor, before anything is rounded. */
export function scaled(law: Law, factor: number): Law {
  switch (law.kind) {
    case 'constant':
      return { ...law, value: law.value * factor }
    case 'uniform':
      return { ...law, low: law.low * factor, high: law.high * factor }
    case 'normal':
    case 'truncated_normal':
      return { ...law, mean: law.mean * factor, std: law.std * factor }
    case 'orthogonal':
    case 'identity':
      return { ...law, gain: law.gain * factor }
  }
}

/** sqrt(1 - 4 phi(2) / (2 Phi(2) - 1)): the standard deviation of N(0, 1) cut at two (`init_ops.py`). */
export const TRUNCATION_STD = 0.87962566103423978
/** P(|z| < 2), the share of a normal that the cut keeps. */
export const TRUNCATION_MASS = 0.9544997361036416
/** Excess kurtosis of N(0, 1) cut at two: E z^4 / (E z^2)^2 - 3, with phi(2) = 0.05399096651318806. */
const TRUNCATED_KURTOSIS = -0.6344632828703505

/**
 * The float32 factor and summand by which TensorFlow and Keras scale raw draws: `rnd * (max - min) + min` with both
 * bounds rounded first, `rnd * stddev + mean`.
 */
export function affineOf(law: ElementwiseLaw): { scale: number; offset: number } {
  if (law.kind === 'uniform') {
    const low = Math.fround(law.low)
    return { scale: Math.fround(Math.fround(law.high) - low), offset: low }
  }
  return { scale: Math.fround(law.std), offset: Math.fround(law.mean) }
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
    case 'orthogonal': {
      // Each of the shorter side's vectors has length gain, spread over the longer side.
      const columns = shape.at(-1) ?? 1
      const rows = shape.slice(0, -1).reduce((product, size) => product * size, 1)
      const bound = Math.abs(law.gain)
      return theory(law.kind, 0, law.gain ** 2 / Math.max(rows, columns), [-bound, bound], null, null)
    }
    case 'identity': {
      const [rows = 1, columns = 1] = shape
      const share = Math.min(rows, columns) / (rows * columns)
      const bounds = [Math.min(0, law.gain), Math.max(0, law.gain)] as const
      return theory(law.kind, law.gain * share, law.gain ** 2 * share * (1 - share), bounds, null, null)
    }
  }
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
