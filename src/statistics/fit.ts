import Type, { type Static } from 'typebox'
import { CompleteInitializer, type Initializer } from '../initializers/initializer.ts'
import { theoryOf, TRUNCATION_MASS } from '../initializers/law.ts'
import { nullable } from '../common/schema.ts'
import type { Candidate, CandidateLaw } from './candidates.ts'
import { cdfOf } from './distribution.ts'
import type { SampleMoments } from './moments.ts'
import { normalTail } from '../initializers/normal.ts'
import { kolmogorovSmirnov, momentTests, roundedKolmogorovSmirnov } from './tests.ts'

/** How well an initializer explains a tensor. */
export const Fit = Type.Object({
  initializer: CompleteInitializer,
  p_value: Type.Number({
    description:
      'The smallest p of mean, variance, distribution and largest singular value, times their number (Bonferroni); ' +
      '0 where a value lies out of bounds, 1 where a structure is met to rounding',
  }),
  std_ratio: nullable(Type.Number(), { description: "The sample's standard deviation over the law's" }),
})
export type Fit = Static<typeof Fit>

/** A fit, and how it is ranked among others that are not rejected either. */
export interface RankedFit extends Fit {
  /** Log-likelihood of all values, in nats: what tells two laws apart that both pass the tests. */
  readonly logLikelihood: number
  /** Its law; a structure is met exactly, or as nearly as values allow that were rounded to half of float32's bits. */
  readonly kind: CandidateLaw['kind'] | 'structure' | 'rounded_structure'
}

export const VERDICTS = ['fresh', 'trained', 'constant', 'undecided'] as const
export type Verdict = (typeof VERDICTS)[number]

/** Below this a candidate is rejected: a tensor as it was drawn is called trained once in a hundred thousand times. */
export const REJECT_BELOW = 1e-5
/** Nats within which two laws explain a tensor alike. */
const ALIKE = 3

/** What is known of a tensor's values when it is held against candidates. */
export interface Evidence {
  readonly sample: SampleMoments
  readonly size: number
  /** Finite values in order, all or a subsample. */
  readonly sorted: Float32Array
  /** Of the flattened kernel, with its sides, where it was computed. */
  readonly largestSquare?: { readonly eigenvalue: number; readonly rows: number; readonly columns: number }
  /** Relative rounding of the values, as they were stored. */
  readonly epsilon: number
}

/** Steps of the random numbers that uniforms and cut normals are made of, at their ends, beside the range; with room. */
const GRAIN = 2 ** -16

/** Tests of one candidate. */
export function fitCandidate({ initializer, law }: Candidate, evidence: Evidence): RankedFit {
  const { sample, size } = evidence
  const theory = theoryOf(law, [size])
  const fit = { initializer, std_ratio: sample.std / theory.std, kind: law.kind }
  if (outOfBounds(sample, theory, evidence.epsilon)) return { ...fit, p_value: 0, logLikelihood: -Infinity }
  const { mean_z, variance_z } = momentTests(sample, theory, size)
  const ps = [normalTail(mean_z), normalTail(variance_z)]
  // A law of another scale needs no more.
  if (Math.min(...ps) > REJECT_BELOW / 100) ps.push(...shapeTests(law, evidence))
  const p_value = Math.min(1, ps.length * Math.min(...ps))
  return { ...fit, p_value, logLikelihood: size * meanLogDensity(law, sample) }
}

/** The p-values of the distribution, of the extremes, and of the largest direction. */
export function shapeTests(
  law: CandidateLaw,
  { sample, size, sorted, epsilon, largestSquare }: Evidence,
): number[] {
  const cdf = cdfOf(law)
  const { mean, variance, min, max } = theoryOf(law, [size])
  const test = isCoarse(sorted) ? roundedKolmogorovSmirnov : kolmogorovSmirnov
  const ps = [test(sorted, cdf).p_value]
  // Of many values some lie at the bounds, unless all were made smaller.
  if (min !== null && max !== null) {
    const margin = (max - min) * Math.max(GRAIN, epsilon)
    ps.push(cdf(sample.max + margin) ** size, (1 - cdf(sample.min - margin)) ** size)
  }
  // A mean is a direction of its own.
  if (largestSquare && mean === 0) ps.push(edgeTail(largestSquare, variance))
  return ps
}

/** Whether values stand for what was rounded to them: of a float32 draw most are no other's equals. */
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
 * The chance that the largest eigenvalue of W^T W exceeds this, for independent entries of mean 0: centred and scaled
 * (Johnstone 2001) it follows the Tracy-Widom law, whose tail stays below exp(-2/3 x^(3/2)). Training adds few
 * directions to many, which rise above the edge long before entries show it.
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

/** Mean log density, by the sample's moments; its values lie within the law's bounds. */
function meanLogDensity(law: CandidateLaw, { mean, variance }: SampleMoments): number {
  if (law.kind === 'uniform') return -Math.log(law.high - law.low)
  const square = (variance + (mean - law.mean) ** 2) / law.std ** 2
  const mass = law.kind === 'normal' ? 1 : TRUNCATION_MASS
  return -Math.log(mass * law.std) - Math.log(2 * Math.PI) / 2 - square / 2
}

/**
 * The best fits first: what is not rejected by its likelihood, then the rest by p. Of those that explain the tensor alike
 * the one that explains more tensors of the same file comes first, and then the more usual one.
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
    ...rejected.sort((a, b) => b.p_value - a.p_value || strangeness(a) - strangeness(b)),
  ]
}

function strangeness({ std_ratio }: Fit): number {
  return std_ratio !== null && std_ratio > 0 ? Math.abs(Math.log(std_ratio)) : Infinity
}
