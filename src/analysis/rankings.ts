import Type, { type Static } from 'typebox'
import { distanceFromOne, rankIntervals, type Estimate } from '../statistics/interval.ts'
import type { NetworkSignals } from './signals-contract.ts'

const Ranking = Type.Array(
  Type.Object({
    rank: Type.Integer({
      description: 'One more than the number of networks whose interval lies wholly before',
    }),
    specs: Type.Array(Type.Integer(), {
      description: 'Indices in `specs`; overlapping intervals may share a rank',
    }),
  }),
)
export const Rankings = Type.Object({
  variance_ratio: Type.With(Ranking, { description: 'Nearest to 1 first; 1/3 is as far as 3' }),
  gradient_ratio: Type.With(Ranking, { description: 'Nearest to 1 first' }),
  loss_excess: Type.With(Ranking, { description: 'Smallest loss above ln(classes) first' }),
})

/** Ranks networks with the same input and labels by each ordered quantity of their signals. */
export function rankModels(
  networks: readonly NetworkSignals[],
  classes: readonly number[],
): Static<typeof Rankings> {
  const ranking = (
    estimateFor: (signals: NetworkSignals, index: number) => Estimate,
  ): Static<typeof Ranking> => {
    const ranks = rankIntervals(networks.map(estimateFor))
    return [...new Set(ranks)]
      .sort((a, b) => a - b)
      .map((rank) => ({ rank, specs: [...ranks.keys()].filter((index) => ranks[index] === rank) }))
  }
  return {
    variance_ratio: ranking((signals) =>
      distanceFromOne(readEstimate(signals.variance_ratio, signals.variance_ratio_interval)),
    ),
    gradient_ratio: ranking((signals) =>
      distanceFromOne(readEstimate(signals.gradient_ratio, signals.gradient_ratio_interval)),
    ),
    loss_excess: ranking(({ loss, loss_interval }, index) =>
      readEstimate(loss, loss_interval, Math.log(classes[index] ?? NaN)),
    ),
  }
}

function readEstimate(mean: number, interval: readonly number[] | null, less = 0): Estimate {
  const [low = NaN, high = NaN] = interval ?? []
  return { mean: mean - less, interval: interval && [low - less, high - less] }
}
