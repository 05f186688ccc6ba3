import { normalCdf } from './normal.ts'

/** A normal of this mean and deviation, kept between two bounds in the units of its values. */
export interface BoundedNormal {
  readonly mean: number
  readonly std: number
  readonly low: number
  readonly high: number
}

/**
 * What the bounds keep of the standard normal: the probability below them, and that between them. Where both lie above
 * the mean the normal is mirrored, for probabilities near 1 have no digits left to tell the tail's values apart.
 */
export function quantilesOf({ mean, std, low, high }: BoundedNormal) {
  const mirrored = low > mean
  const [from, to] = mirrored ? [mean - high, mean - low] : [low - mean, high - mean]
  const lowest = normalCdf(from / std)
  return { lowest, mass: normalCdf(to / std) - lowest, mirrored }
}

/** Beyond where the density has fallen by exp(-NEGLIGIBLE / 2) nothing adds to a moment. */
const NEGLIGIBLE = 120
const PANELS = 4096

/**
 * Mean, variance, skewness and excess kurtosis, by Simpson's rule over the density. The closed forms (Johnson, Kotz and
 * Balakrishnan 1994, 13.10.1) are differences of large numbers where bounds are narrow or far from the mean.
 */
export function boundedMoments({ mean, std, low, high }: BoundedNormal) {
  const [from, to] = [(low - mean) / std, (high - mean) / std]
  const mode = Math.min(Math.max(0, from), to)
  const reach = Math.sqrt(mode * mode + NEGLIGIBLE)
  const start = Math.max(from, -reach)
  const step = (Math.min(to, reach) - start) / PANELS
  const nodes = Array.from({ length: PANELS + 1 }, (_, i) => {
    // Measured from the mode, where narrow bounds leave the differences their digits.
    const distance = start - mode + i * step
    const simpson = i === 0 || i === PANELS ? 1 : i % 2 === 1 ? 4 : 2
    return { distance, weight: simpson * Math.exp((-distance * (distance + 2 * mode)) / 2) }
  })
  const total = nodes.reduce((sum, { weight }) => sum + weight, 0)
  const expected = (of: (distance: number) => number): number =>
    nodes.reduce((sum, { distance, weight }) => sum + weight * of(distance), 0) / total
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
