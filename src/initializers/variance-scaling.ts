import { fansOf } from './fans.ts'
import { TRUNCATION_STD, type Law } from './law.ts'

type FanMode = 'fan_in' | 'fan_out' | 'fan_avg' | 'fan_geo_avg'
type ScaledDistribution = 'truncated_normal' | 'untruncated_normal' | 'uniform'

export interface VarianceScaling {
  readonly scale: number
  readonly mode: FanMode
  readonly distribution: ScaledDistribution
}

/**
 * Entries of variance scale / max(1, fan), as TensorFlow's VarianceScaling (`init_ops.py`). The truncated normal is
 * widened by 1 / 0.8796 and so has this variance after truncation (tensorflow#19081). fan_geo_avg comes from
 * `jax.nn.initializers`.
 */
export function varianceScaling(
  { scale, mode, distribution }: VarianceScaling,
  shape: readonly number[],
): Law {
  const { fanIn, fanOut } = fansOf(shape)
  const fans = {
    ...{ fan_in: fanIn, fan_out: fanOut },
    ...{ fan_avg: (fanIn + fanOut) / 2, fan_geo_avg: Math.sqrt(fanIn * fanOut) },
  }
  const fan = fans[mode]
  const variance = scale / Math.max(1, fan)
  switch (distribution) {
    case 'uniform': {
      const limit = Math.sqrt(3 * variance)
      return { kind: 'uniform', low: -limit, high: limit }
    }
    case 'truncated_normal':
      return { kind: 'truncated_normal', mean: 0, std: Math.sqrt(variance) / TRUNCATION_STD }
    case 'untruncated_normal':
      return { kind: 'normal', mean: 0, std: Math.sqrt(variance) }
  }
}
