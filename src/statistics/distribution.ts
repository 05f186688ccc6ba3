import { TRUNCATION_MASS, type ElementwiseLaw } from '../initializers/law.ts'
import { computeQuantiles } from '../initializers/bounded-normal.ts'
import { normalCdf } from '../initializers/normal.ts'

/** The cumulative distribution function of a law's entries. */
export function cdfOf(law: ElementwiseLaw): (x: number) => number {
  switch (law.kind) {
    case 'uniform':
      return (x) => clamp((x - law.low) / (law.high - law.low))
    case 'normal':
      return (x) => normalCdf((x - law.mean) / law.std)
    case 'truncated_normal': {
      const below = (1 - TRUNCATION_MASS) / 2
      return (x) => clamp((normalCdf((x - law.mean) / law.std) - below) / TRUNCATION_MASS)
    }
    case 'bounded_normal': {
      const { lowest, mass, mirrored } = computeQuantiles(law)
      const standard = (x: number): number => (x - law.mean) / law.std
      return (x) =>
        mirrored
          ? 1 - clamp((normalCdf(-standard(x)) - lowest) / mass)
          : clamp((normalCdf(standard(x)) - lowest) / mass)
    }
  }
}

function clamp(probability: number): number {
  return Math.min(1, Math.max(0, probability))
}
