/** @param {readonly number[]} values */
export function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const [low, high] = [sorted[middle - 1 + (sorted.length % 2)], sorted[middle]]
  return low === undefined || high === undefined ? NaN : (low + high) / 2
}

/**
 * Quantile by nearest rank: the smallest value that is at least the share of all values. NaN without values.
 * @param {readonly number[]} values
 * @param {number} share
 */
export function quantile(values, share) {
  const rank = Math.max(1, Math.ceil(share * values.length))
  return values.toSorted((a, b) => a - b)[rank - 1] ?? NaN
}

/**
 * Median and spread of rounds: `12.3 (11.9..13.0)`; one round has no spread.
 * @param {readonly number[]} values
 * @param {number} digits
 */
export function spread(values, digits) {
  const [middle, least, most] = [median(values), Math.min(...values), Math.max(...values)].map((value) =>
    value.toFixed(digits),
  )
  return values.length < 2 ? String(middle) : `${String(middle)} (${String(least)}..${String(most)})`
}
