/** A mean over repeats and its 95 % confidence interval; null with one repeat. */
export interface Estimate {
  readonly mean: number
  readonly interval: readonly [number, number] | null
}

/** 97.5 % points of Student's t distribution with 1, 2, ... 29 degrees of freedom. */
const T_POINTS = [
  12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139,
  2.200985, 2.178813, 2.160369, 2.144787, 2.13145, 2.119905, 2.109816, 2.100922, 2.093024, 2.085963, 2.079614,
  2.073873, 2.068658, 2.063899, 2.059539, 2.055529, 2.051831, 2.048407, 2.04523,
]
export const MAX_REPEATS = T_POINTS.length + 1

/** Student's confidence interval of the mean of at most MAX_REPEATS values. */
export function estimate(values: readonly number[]): Estimate {
  const n = values.length
  const mean = values.reduce((sum, value) => sum + value, 0) / n
  const point = T_POINTS[n - 2]
  if (point === undefined) return { mean, interval: null }
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  const half = point * Math.sqrt(squares / (n - 1) / n)
  return { mean, interval: [mean - half, mean + half] }
}

/**
 * Ranks from 1, smallest first: one more than the number of intervals that lie wholly below. Overlapping intervals
 * may share a rank. Without an interval nothing lies below; a mean that is not finite ranks last.
 */
export function rankIntervals(estimates: readonly Estimate[]): number[] {
  const bounds = estimates.map(({ mean, interval }): readonly [number, number] => {
    if (!Number.isFinite(mean)) return [Infinity, Infinity]
    return interval ?? [-Infinity, Infinity]
  })
  return bounds.map(([low]) => 1 + bounds.filter(([, high]) => high < low).length)
}

/** The distance of a positive quantity from 1 as the absolute logarithm: 1 / 3 and 3 have the same distance. */
export function distanceFromOne({ mean, interval }: Estimate): Estimate {
  const distance = (value: number): number => Math.abs(Math.log(Math.max(0, value)))
  if (interval === null) return { mean: distance(mean), interval }
  const ends = interval.map(distance)
  const around = interval[0] <= 1 && interval[1] >= 1
  return { mean: distance(mean), interval: [around ? 0 : Math.min(...ends), Math.max(...ends)] }
}
