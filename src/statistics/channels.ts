/** Population moments of a batch of feature maps, flat with the channels last, in float64. */
export interface ChannelMoments {
  /** Over all elements. */
  readonly mean: number
  readonly variance: number
  /** mean_c(mean_bhw(x)^2), Brock et al. 2021 (arXiv:2101.08692). */
  readonly averageSquaredMean: number
  /** mean_c(var_bhw(x)). */
  readonly averageVariance: number
}

export function channelMoments(values: Float32Array, channels: number): ChannelMoments {
  const count = values.length / channels
  const means = new Float64Array(channels)
  const variances = new Float64Array(channels)
  for (let row = 0; row < values.length; row += channels) {
    for (let c = 0; c < channels; c++) means[c] = (means[c] ?? 0) + (values[row + c] ?? 0) / count
  }
  for (let row = 0; row < values.length; row += channels) {
    for (let c = 0; c < channels; c++) {
      const deviation = (values[row + c] ?? 0) - (means[c] ?? 0)
      variances[c] = (variances[c] ?? 0) + deviation ** 2 / count
    }
  }
  const mean = average(means)
  const averageVariance = average(variances)
  return {
    mean,
    // Variance within the channels, plus variance between them.
    variance: averageVariance + average(means.map((value) => (value - mean) ** 2)),
    averageSquaredMean: average(means.map((value) => value ** 2)),
    averageVariance,
  }
}

/** The share of channels that a ReLU maps to 0 throughout. */
export function deadFraction(values: Float32Array, channels: number): number {
  const alive = new Float64Array(channels)
  for (let row = 0; row < values.length; row += channels) {
    // NaN counts as alive.
    for (let c = 0; c < channels; c++) if (!((values[row + c] ?? 0) <= 0)) alive[c] = 1
  }
  return 1 - average(alive)
}

function average(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
