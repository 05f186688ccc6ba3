import Type, { type Static } from 'typebox'
import type { Theory } from '../initializers/law.ts'
import { normalTail } from '../initializers/normal.ts'
import type { SampleMoments } from './moments.ts'

/**
 * Tests of a sample against its theory: z-scores of mean and variance, and the largest distance of the CDFs (KS).
 */
export const Tests = Type.Object({
  mean_z: Type.Number(),
  variance_z: Type.Number(),
  ks: Type.Object({ statistic: Type.Number(), p_value: Type.Number(), sample_size: Type.Integer() }),
})
export type Tests = Static<typeof Tests>

/**
 * z-scores. The standard error of a variance follows from the fourth moment: sqrt((k + 2) / n) for excess kurtosis
 * k.
 */
export function momentTests(
  sample: SampleMoments,
  theory: Theory,
  size: number,
): Pick<Tests, 'mean_z' | 'variance_z'> {
  const kurtosis = theory.kurtosis ?? 0
  return {
    mean_z: ((sample.mean - theory.mean) * Math.sqrt(size)) / theory.std,
    variance_z: (sample.variance / theory.variance - 1) / Math.sqrt((kurtosis + 2) / size),
  }
}

/** Kolmogorov-Smirnov test of sorted values; p-value with Stephens's correction for finite samples. */
export function kolmogorovSmirnov(sorted: Float32Array, cdf: (x: number) => number): Tests['ks'] {
  return kolmogorovResult(largestDistance(sorted, cdf), sorted.length)
}

/**
 * Kolmogorov-Smirnov test of values that were rounded to a grid: each stands for the interval up to halfway to its
 * neighbours.
 */
export function roundedKolmogorovSmirnov(sorted: Float32Array, cdf: (x: number) => number): Tests['ks'] {
  const n = sorted.length
  let statistic = 0
  for (let index = 1; index < n; index++) {
    const [below = 0, above = 0] = [sorted[index - 1], sorted[index]]
    if (below !== above) statistic = Math.max(statistic, Math.abs(index / n - cdf((below + above) / 2)))
  }
  return kolmogorovResult(statistic, n)
}

function kolmogorovResult(statistic: number, n: number): Tests['ks'] {
  const root = Math.sqrt(n)
  const lambda = (root + 0.12 + 0.11 / root) * statistic
  return { statistic, p_value: kolmogorovTail(lambda), sample_size: n }
}

/** Values per stretch, whose CDF is bounded by the CDF at both ends. */
const STRETCH = 128

/**
 * The largest distance between the values' empirical CDF and the CDF. Both ascend, so the ends of a stretch bound
 * the distances within it, and most stretches are skipped. The result is exact.
 */
function largestDistance(sorted: Float32Array, cdf: (x: number) => number): number {
  const n = sorted.length
  const distanceAt = (index: number, expected: number): number =>
    Math.max(expected - index / n, (index + 1) / n - expected)
  const starts = Array.from({ length: Math.ceil(n / STRETCH) }, (_, stretch) => stretch * STRETCH)
  const expectedAt = starts.map((start) => cdf(sorted[start] ?? 0))
  let largest = starts.reduce(
    (most, start, stretch) => Math.max(most, distanceAt(start, expectedAt[stretch] ?? 0)),
    0,
  )
  starts.forEach((start, stretch) => {
    const end = Math.min(start + STRETCH, n)
    const low = expectedAt[stretch] ?? 0
    const high = expectedAt[stretch + 1] ?? 1
    if (Math.max(high - start / n, end / n - low) <= largest) return
    for (let index = start + 1; index < end; index++)
      largest = Math.max(largest, distanceAt(index, cdf(sorted[index] ?? 0)))
  })
  return largest
}

function kolmogorovTail(lambda: number): number {
  // Below this the series converges slowly, and its sum is 1 to all digits.
  if (lambda < 0.2) return 1
  let sum = 0
  for (let j = 1; j <= 100; j++) {
    const term = Math.exp(-2 * j * j * lambda * lambda)
    sum += j % 2 === 1 ? term : -term
    if (term < 1e-16) break
  }
  return Math.min(1, Math.max(0, 2 * sum))
}

/** The p-values of a parameter's tests of mean, variance and distribution. */
export function pValues({ mean_z, variance_z, ks }: Tests): number[] {
  return [normalTail(mean_z), normalTail(variance_z), ks.p_value]
}

/** Holm's step-down correction: adjusted p-values in the input's order. */
export function holm(values: readonly number[]): number[] {
  const order = values.map((_, index) => index).sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0))
  const adjusted = new Array<number>(values.length).fill(1)
  let running = 0
  order.forEach((index, rank) => {
    running = Math.max(running, Math.min(1, (values[index] ?? 1) * (values.length - rank)))
    adjusted[index] = running
  })
  return adjusted
}
