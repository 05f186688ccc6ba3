import type { Estimate } from './interval.ts'

export const verdicts = ['exploding', 'vanishing', 'stable', 'undecided'] as const
export type Verdict = (typeof verdicts)[number]

/** Beyond this factor, or its inverse, a variance counts as exploded or vanished. */
const LIMIT = 30

/** Judges the ratio of a sum's variance to the input's; undecided if its interval contains a limit. */
export function judge(ratio: Estimate, subject: string): { verdict: Verdict; reason: string } {
  const { mean, interval } = ratio
  const [low, high] = interval ?? [mean, mean]
  const range = interval ? ` (95 %: ${format(low)} to ${format(high)})` : ''
  const sentence = `the variance of ${subject} is ${format(mean)} times the input's${range}`
  if (!Number.isFinite(mean))
    return { verdict: 'exploding', reason: `the variance of ${subject} is not finite` }
  if (low > LIMIT) return { verdict: 'exploding', reason: `${sentence}, above ${String(LIMIT)}` }
  if (high < 1 / LIMIT) return { verdict: 'vanishing', reason: `${sentence}, below 1/${String(LIMIT)}` }
  if (low >= 1 / LIMIT && high <= LIMIT)
    return { verdict: 'stable', reason: `${sentence}, between 1/${String(LIMIT)} and ${String(LIMIT)}` }
  return {
    verdict: 'undecided',
    reason: `${sentence}, and the interval contains a limit; more repeats may decide it`,
  }
}

function format(value: number): string {
  return String(Number(value.toPrecision(3)))
}
