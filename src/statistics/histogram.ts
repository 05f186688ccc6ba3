import Type, { type Static } from 'typebox'
import { nullable } from '../common/schema.ts'
import { valuesAtRanks } from './order.ts'

export const Histogram = Type.Object({
  edges: Type.Array(Type.Number()),
  counts: Type.Array(Type.Integer(), { description: 'Counts of finite values' }),
  expected: nullable(Type.Array(Type.Number()), {
    description: 'Expected counts by theory; null without a law of independent entries',
  }),
})
export type Histogram = Static<typeof Histogram>

/**
 * Counts finite values in equal bins between finite edges, as numpy.histogram does in float64: a bin includes its
 * lower edge, and the last one both. Values beyond the edges count in the outermost bins, as in the expected
 * counts.
 */
export class HistogramCounts {
  readonly #edges: Float64Array
  readonly #counts: Float64Array

  constructor(low: number, high: number, bins: number) {
    this.#edges = edgesBetween(low, high, bins)
    this.#counts = new Float64Array(bins)
  }

  add(values: Float32Array): void {
    const edges = this.#edges
    const counts = this.#counts
    const last = counts.length - 1
    const low = edges[0] ?? 0
    const scale = counts.length / ((edges[last + 1] ?? 0) - low)
    const { length } = values
    for (let index = 0; index < length; index++) {
      const value = values[index] ?? 0
      if (value - value !== 0) continue
      const position = (value - low) * scale
      let bin = position < 1 ? 0 : position >= last ? last : position | 0
      // Rounding may select a neighbouring bin.
      if (value < (edges[bin] ?? 0)) bin = bin > 0 ? bin - 1 : 0
      else if (bin < last && value >= (edges[bin + 1] ?? 0)) bin++
      counts[bin] = (counts[bin] ?? 0) + 1
    }
  }

  result(size: number, cdf: ((x: number) => number) | undefined): Histogram {
    const bins = this.#counts.length
    const edges = [...this.#edges]
    const expected = cdf
      ? Array.from({ length: bins }, (_, i) => {
          const below = i === 0 ? 0 : cdf(edges[i] ?? 0)
          const above = i === bins - 1 ? 1 : cdf(edges[i + 1] ?? 0)
          return (above - below) * size
        })
      : null
    return { edges, counts: [...this.#counts], expected }
  }
}

/**
 * Edges as numpy.linspace. If all values are equal, the range is half a unit to both sides, or more for large
 * values.
 */
function edgesBetween(low: number, high: number, bins: number): Float64Array {
  const half = low === high ? Math.max(0.5, Math.abs(low) * 2 ** -20) : 0
  const [first, last] = [low - half, high + half]
  const step = (last - first) / bins
  return Float64Array.from({ length: bins + 1 }, (_, index) => (index < bins ? index * step + first : last))
}

const QUANTILES = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99] as const

/** Quantiles of finite values in any order, linearly interpolated as numpy's default; NaN if there are none. */
export function computeQuantiles(values: Float32Array): Record<string, number> {
  const last = values.length - 1
  if (last < 0) return Object.fromEntries(QUANTILES.map((quantile) => [String(quantile), Number.NaN]))
  const neighbours = QUANTILES.map((quantile) => {
    const lower = Math.floor(quantile * last)
    return { quantile, lower, upper: Math.min(lower + 1, last), share: quantile * last - lower }
  })
  const found = valuesAtRanks(
    values,
    neighbours.flatMap(({ lower, upper }) => [lower, upper]),
  )
  const at = (rank: number): number => found.get(rank) ?? Number.NaN
  return Object.fromEntries(
    neighbours.map(({ quantile, lower, upper, share }) => [
      String(quantile),
      at(lower) + (at(upper) - at(lower)) * share,
    ]),
  )
}
