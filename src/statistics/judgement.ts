import { normalTail } from '../initializers/normal.ts'
import { TRUNCATION_STD } from '../initializers/law.ts'
import type { CandidateLaw } from './candidates.ts'
import { REJECT_BELOW, shapeTests, type Evidence, type RankedFit, type Verdict } from './fit.ts'

/** Tensors with fewer values fit many laws. */
const MIN_TELLING_SIZE = 256
/**
 * A standard deviation within this relative distance of an initializer's, but this many standard errors away, is
 * evidence of training.
 */
const NEAR = 0.05
const AWAY = 5
/** The share of exact zeros from which a tensor counts as pruned. Draws have hardly any. */
const PRUNED = 1e-3

/** A verdict, with the reason if it is undecided. */
export interface Judgement {
  readonly verdict: Verdict
  readonly note?: string
}

/** Judges a single tensor that is neither constant nor a structure. */
export function judge(
  fits: readonly RankedFit[],
  evidence: Evidence,
  { shape, coarse }: { readonly shape: readonly number[]; readonly coarse: boolean },
): Judgement {
  const { sample, size } = evidence
  if (fits.some(({ p_value }) => p_value >= REJECT_BELOW))
    return size >= MIN_TELLING_SIZE
      ? { verdict: 'fresh' }
      : undecided('the tensor is too small for a verdict')
  if (sample.zeros >= PRUNED * size)
    return undecided(`${String(sample.zeros)} values are 0, which suggests pruning`)
  if (coarse) return undecided('the values were rounded to a few levels')
  // A vector that no initializer explains is a trained bias or scale.
  if (shape.filter((length) => length > 1).length < 2) return { verdict: 'trained' }
  const alike = plausibleLaws(evidence)
  const hasMoved = (kind: CandidateLaw['kind']) =>
    fits.some((fit) => {
      const distance = Math.abs((fit.std_ratio ?? Infinity) - 1)
      return fit.kind === kind && distance < NEAR && distance > AWAY / Math.sqrt(2 * size)
    })
  if (alike.length === 0 || alike.some(hasMoved)) return { verdict: 'trained' }
  return undecided(
    'the entries look like independent draws with a standard deviation that no known initializer has',
  )
}

function undecided(note: string): Judgement {
  return { verdict: 'undecided', note }
}

/** The distributions that fit the entries as independent draws of any standard deviation. */
function plausibleLaws(evidence: Evidence): CandidateLaw['kind'][] {
  const { sample, size } = evidence
  const { std } = sample
  const reach = Math.max(Math.abs(sample.min), Math.abs(sample.max))
  const limit = reach * (1 + 1 / size)
  const laws: CandidateLaw[] = [
    { kind: 'uniform', low: -limit, high: limit },
    { kind: 'truncated_normal', mean: 0, std: Math.max(std / TRUNCATION_STD, reach / 2) },
    { kind: 'normal', mean: 0, std },
  ]
  const centred = normalTail((sample.mean * Math.sqrt(size)) / std)
  const fits = (law: CandidateLaw): boolean => {
    const ps = [centred, ...shapeTests(law, evidence)]
    if (law.kind === 'normal') ps.push(tailTest(evidence))
    return ps.length * Math.min(...ps) >= REJECT_BELOW
  }
  return laws.filter(fits).map(({ kind }) => kind)
}

/**
 * Tests the excess kurtosis, which is about sqrt(24 / n) for a sample of a normal: longer tails are the first sign
 * of training.
 */
function tailTest({ sample, size }: Evidence): number {
  return normalTail((sample.kurtosis ?? 0) * Math.sqrt(size / 24))
}
