import Type, { type Static } from 'typebox'
import { CompleteInitializer, type Initializer } from '../initializers/initializer.ts'
import { theoryOf, TRUNCATION_MASS } from '../initializers/law.ts'
import { nullable } from '../common/schema.ts'
import type { Candidate, CandidateLaw } from './candidates.ts'
import { cdfOf } from './distribution.ts'
import type { SampleMoments } from './moments.ts'
import { normalTail } from '../initializers/normal.ts'
import { kolmogorovSmirnov, momentTests, roundedKolmogorovSmirnov } from './tests.ts'

/** The agreement of a tensor with an initializer. */
export const Fit = Type.Object({
  initializer: CompleteInitializer,
  p_value: Type.Number({
    description:
      'Smallest p-value of the tests of mean, variance, distribution and largest singular value, times their number (Bonferroni); ' +
      '0 if a value is out of bounds, 1 if a structure agrees up to rounding',
  }),
  std_ratio: nullable(Type.Number(), {
    description: "Ratio of the sample's standard deviation to the law's",
  }),
})
export type Fit = Static<typeof Fit>

/** A fit, with the values that rank it among other fits that are not rejected. */
export interface RankedFit extends Fit {
  /** Log-likelihood of all values, in nats. It separates two laws that both pass the tests. */
  readonly logLikelihood: number
  /**
   * The kind of its law. A structure agrees exactly, or up to rounding for values with half of float32's bits or
   * fewer.
   */
  readonly kind: CandidateLaw['kind'] | 'structure' | 'rounded_structure'
}

export const VERDICTS = ['fresh', 'trained', 'constant', 'undecided'] as const
export type Verdict = (typeof VERDICTS)[number]

/**
 * A candidate is rejected below this p-value: a freshly drawn tensor is called trained once in a hundred thousand
 * times.
 */
export const REJECT_BELOW = 1e-5
/** Two laws within this many nats explain a tensor equally well. */
const ALIKE = 3

/** Properties of a tensor's values that are compared with candidates. */
export interface Evidence {
  readonly sample: SampleMoments
  readonly size: number
  /** Sorted finite values: all, or a subsample. */
  readonly sorted: Float32Array
  /** Largest eigenvalue of the flattened kernel's Gram matrix, if computed, and the kernel's sides. */
  readonly largestSquare?: { readonly eigenvalue: number; readonly rows: number; readonly columns: number }
  /** Relative rounding of the stored values. */
  readonly epsilon: number
}

/**
 * Resolution of the random numbers behind uniforms and truncated normals at their ends, relative to the range, with
 * a margin.
 */
const GRAIN = 2 ** -16

/** Tests one candidate. */
export function fitCandidate({ initializer, law }: Candidate, evidence: Evidence): RankedFit {
  const { sample, size } = evidence
  const theory = theoryOf(law, [size])
  const fit = { initializer, std_ratio: sample.std / theory.std, kind: law.kind }
  if (outOfBounds(sample, theory, evidence.epsilon)) return { ...fit, p_value: 0, logLikelihood: -Infinity }
  const { mean_z, variance_z } = momentTests(sample, theory, size)
  const ps = [normalTail(mean_z), normalTail(variance_z)]
  // A law of another scale needs no further tests.
  if (Math.min(...ps) > REJECT_BELOW / 100) ps.push(...shapeTests(law, evidence))
  const p_value = Math.min(1, ps.length * Math.min(...ps))
  return { ...fit, p_value, logLikelihood: size * meanLogDensity(law, sample) }
}

/** The p-values of the distribution, of the extremes, and of the largest singular value. */
export function shapeTests(
  law: CandidateLaw,
  { sample, size, sorted, epsilon, largestSquare }: Evidence,
): number[] {
  const cdf = cdfOf(law)
  const { mean, variance, min, max } = theoryOf(law, [size])
  const test = isCoarse(sorted) ? roundedKolmogorovSmirnov : kolmogorovSmirnov
  const ps = [test(sorted, cdf).p_value]
  // Of many values some lie near the bounds, unless all were scaled down.
  if (min !== null && max !== null) {
    const margin = (max - min) * Math.max(GRAIN, epsilon)
    ps.push(cdf(sample.max + margin) ** size, (1 - cdf(sample.min - margin)) ** size)
  }
  // A nonzero mean adds a large singular value.
  if (largestSquare && mean === 0) ps.push(edgeTail(largestSquare, variance))
  return ps
}

/** True if most values occur more than once, which shows rounding: most values of a float32 draw are distinct. */
function isCoarse(sorted: Float32Array): boolean {
  let distinct = 1
  for (let index = 1; index < sorted.length; index++) if (sorted[index] !== sorted[index - 1]) distinct++
  return distinct < sorted.length / 2
}

function outOfBounds(
  { min, max }: SampleMoments,
  { min: low, max: high }: { readonly min: number | null; readonly max: number | null },
  epsilon: number,
): boolean {
  const margin = 2 * Math.max(epsilon, 2 ** -23) * Math.max(Math.abs(low ?? 0), Math.abs(high ?? 0))
  return (low !== null && min < low - margin) || (high !== null && max > high + margin)
}

/**
 * The probability that the largest eigenvalue of W^T W exceeds this, for independent entries of mean 0. Centred and
 * scaled (Johnstone 2001) it follows the Tracy-Widom law, whose tail is below exp(-2/3 x^(3/2)). Training adds a
 * few directions with large singular values, long before it changes the distribution of entries.
 */
function edgeTail(
  { eigenvalue, rows, columns }: NonNullable<Evidence['largestSquare']>,
  variance: number,
): number {
  const [a, b] = [Math.sqrt(rows - 0.5), Math.sqrt(columns - 0.5)]
  const center = variance * (a + b) ** 2
  const scale = variance * (a + b) * Math.cbrt(1 / a + 1 / b)
  const x = (eigenvalue - center) / scale
  return x > 0 ? Math.exp((-2 / 3) * x ** 1.5) : 1
}

/** Mean log density from the sample's moments, for values within the law's bounds. */
function meanLogDensity(law: CandidateLaw, { mean, variance }: SampleMoments): number {
  if (law.kind === 'uniform') return -Math.log(law.high - law.low)
  const square = (variance + (mean - law.mean) ** 2) / law.std ** 2
  const mass = law.kind === 'normal' ? 1 : TRUNCATION_MASS
  return -Math.log(mass * law.std) - Math.log(2 * Math.PI) / 2 - square / 2
}

/**
 * Sorts fits, best first: accepted ones by likelihood, then rejected ones by p. Among fits with about equal
 * likelihood, the initializer that explains more tensors of the file comes first, then the more usual one.
 */
export function rankFits(
  fits: readonly RankedFit[],
  votes: (initializer: Initializer) => number,
): RankedFit[] {
  const accepted = fits.filter(({ p_value }) => p_value >= REJECT_BELOW)
  const best = Math.max(...accepted.map(({ logLikelihood }) => logLikelihood))
  const alike = accepted.filter(({ logLikelihood }) => best - logLikelihood < ALIKE || best === logLikelihood)
  const others = accepted.filter((fit) => !alike.includes(fit))
  const rejected = fits.filter((fit) => !accepted.includes(fit))
  return [
    ...alike.sort((a, b) => votes(b.initializer) - votes(a.initializer)),
    ...others.sort((a, b) => b.logLikelihood - a.logLikelihood),
    ...rejected.sort((a, b) => b.p_value - a.p_value || scaleDistance(a) - scaleDistance(b)),
  ]
}

function scaleDistance({ std_ratio }: Fit): number {
  return std_ratio !== null && std_ratio > 0 ? Math.abs(Math.log(std_ratio)) : Infinity
}
