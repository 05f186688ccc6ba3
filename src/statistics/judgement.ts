import { normalTail } from '../initializers/normal.ts'
import { TRUNCATION_STD } from '../initializers/law.ts'
import type { CandidateLaw } from './candidates.ts'
import { REJECT_BELOW, shapeTests, type Evidence, type RankedFit, type Verdict } from './fit.ts'

/** Fewer values fit many a law. */
const MIN_TELLING_SIZE = 256
/** A deviation this near to an initializer's own, and that many standard errors away, is that initializer's, moved. */
const NEAR = 0.05
const AWAY = 5
/** A draw has no exact zeros but by chance; pruning leaves this share and more. */
const PRUNED = 1e-3

/** A verdict, with what one has to know where it is undecided. */
export interface Judgement {
  readonly verdict: Verdict
  readonly note?: string
}

/** What a tensor that is no constant and no structure is, judged by itself. */
export function judge(
  fits: readonly RankedFit[],
  evidence: Evidence,
  { shape, coarse }: { readonly shape: readonly number[]; readonly coarse: boolean },
): Judgement {
  const { sample, size } = evidence
  if (fits.some(({ p_value }) => p_value >= REJECT_BELOW))
    return size >= MIN_TELLING_SIZE ? { verdict: 'fresh' } : undecided('it is too small to tell')
  if (sample.zeros >= PRUNED * size)
    return undecided(`${String(sample.zeros)} values are 0, as pruning leaves them`)
  if (coarse) return undecided('its values were rounded to a few levels')
  // A vector that no initializer explains is a bias or a scale that was learned.
  if (shape.filter((length) => length > 1).length < 2) return { verdict: 'trained' }
  const alike = plausibleLaws(evidence)
  const moved = (kind: CandidateLaw['kind']) =>
    fits.some((fit) => {
      const distance = Math.abs((fit.std_ratio ?? Infinity) - 1)
      return fit.kind === kind && distance < NEAR && distance > AWAY / Math.sqrt(2 * size)
    })
  if (alike.length === 0 || alike.some(moved)) return { verdict: 'trained' }
  return undecided('its entries are as independent draws, of a deviation that no initializer here has')
}

function undecided(note: string): Judgement {
  return { verdict: 'undecided', note }
}

/** The distributions that entries may be independent draws of, whatever their deviation. */
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

/** Training makes tails longer before anything else shows: the excess kurtosis of a normal's sample is some sqrt(24 / n). */
function tailTest({ sample, size }: Evidence): number {
  return normalTail((sample.kurtosis ?? 0) * Math.sqrt(size / 24))
}
