import { normalCdf } from './normal.ts'

/** A normal distribution truncated to [low, high]. Mean, std and bounds are in the units of the values. */
export interface BoundedNormal {
  readonly mean: number
  readonly std: number
  readonly low: number
  readonly high: number
}

/**
 * The standard normal's probability below the lower bound, and between the bounds. If both bounds lie above the
 * mean, the normal is mirrored, because probabilities near 1 have too few digits for the tail.
 */
export function computeQuantiles({ mean, std, low, high }: BoundedNormal) {
  const mirrored = low > mean
  const [from, to] = mirrored ? [mean - high, mean - low] : [low - mean, high - mean]
  const lowest = normalCdf(from / std)
  return { lowest, mass: normalCdf(to / std) - lowest, mirrored }
}

/** The integral ends where the density has fallen by exp(-NEGLIGIBLE / 2). */
const NEGLIGIBLE = 120
const PANELS = 4096

/**
 * Mean, variance, skewness and excess kurtosis, by Simpson's rule over the density. The closed forms (Johnson, Kotz
 * and Balakrishnan 1994, 13.10.1) subtract large numbers if bounds are narrow or far from the mean.
 */
export function boundedMoments({ mean, std, low, high }: BoundedNormal) {
  const [from, to] = [(low - mean) / std, (high - mean) / std]
  const mode = Math.min(Math.max(0, from), to)
  const reach = Math.sqrt(mode * mode + NEGLIGIBLE)
  const start = Math.max(from, -reach)
  const step = (Math.min(to, reach) - start) / PANELS
  const nodes = Array.from({ length: PANELS + 1 }, (_, i) => {
    // Distances from the mode keep their digits if bounds are narrow.
    const distance = start - mode + i * step
    const simpson = i === 0 || i === PANELS ? 1 : i % 2 === 1 ? 4 : 2
    return { distance, weight: simpson * Math.exp((-distance * (distance + 2 * mode)) / 2) }
  })
  const total = nodes.reduce((sum, { weight }) => sum + weight, 0)
  const expected = (f: (distance: number) => number): number =>
    nodes.reduce((sum, { distance, weight }) => sum + weight * f(distance), 0) / total
  const center = expected((distance) => distance)
  const [second, third, fourth] = [2, 3, 4].map((power) => expected((d) => (d - center) ** power)) as [
    number,
    number,
    number,
  ]
  return {
    mean: mean + (mode + center) * std,
    variance: second * std ** 2,
    skewness: third / second ** 1.5,
    kurtosis: fourth / second ** 2 - 3,
  }
}
