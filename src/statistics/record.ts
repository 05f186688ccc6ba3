import { createHash } from 'node:crypto'
import { fansOf, sizeOf } from '../initializers/fans.ts'
import type { Initializer } from '../initializers/initializer.ts'
import { isElementwise, theoryOf, type Law, type Theory } from '../initializers/law.ts'
import { streamOf } from '../initializers/seeds.ts'
import { cdfOf } from './distribution.ts'
import { HistogramCounts, quantilesOf, type Histogram } from './histogram.ts'
import { MomentSums, type SampleMoments } from './moments.ts'
import { Subsample } from './subsample.ts'
import { kolmogorovSmirnov, momentTests, type Tests } from './tests.ts'

/** A tensor to measure: its values go by in slices, from the start each time they are asked for. */
export interface TensorSource {
  readonly shape: readonly number[]
  slices(): AsyncIterable<Float32Array>
}

/** Where a tensor comes from; loaded weights have neither initializer nor law. */
export interface Origin {
  readonly initializer: Initializer | null
  readonly law: Law | null
}

export interface RecordOptions {
  readonly histogram: boolean
  readonly quantiles: boolean
  readonly bins: number
}

export interface TensorStatistics {
  readonly shape: readonly number[]
  readonly size: number
  readonly dtype: 'float32'
  readonly initializer: Initializer | null
  readonly fan_in: number
  readonly fan_out: number
  readonly theory: Theory | null
  readonly sample: SampleMoments & { readonly sha256: string }
  readonly tests: Tests | null
  /** Whether every entry is exactly what theory says; null where entries are drawn. */
  readonly exact: boolean | null
  readonly histogram?: Histogram
  readonly quantiles?: Record<string, number>
  readonly quantiles_sample_size?: number
}

const KS_SAMPLE = 100_000
const QUANTILE_SAMPLE = 2 ** 20
/** Which values a subsample takes is fixed for all time, so that a record is reproducible too. */
const SUBSAMPLE_SEED = 20
/** A normal's histogram reaches this many deviations; one value in two million lies beyond. */
const NORMAL_REACH = 5

/**
 * Measures a tensor against its law. One pass over the values; two where a histogram has no theory to set its edges.
 * `alsoHash` sees the bytes once, in order.
 */
export async function measure(
  source: TensorSource,
  { initializer, law }: Origin,
  options: RecordOptions,
  alsoHash?: (bytes: Uint8Array) => void,
): Promise<TensorStatistics> {
  const { shape } = source
  const size = sizeOf(shape)
  const theory = law ? theoryOf(law, shape) : null
  const drawn = law && isElementwise(law) ? law : null
  const moments = new MomentSums(theory?.mean ?? 0, theory?.std ?? 1)
  const hash = createHash('sha256')
  const ks = drawn ? new Subsample(size, KS_SAMPLE, streamOf([SUBSAMPLE_SEED, 0])) : undefined
  const quantiles = options.quantiles
    ? new Subsample(size, QUANTILE_SAMPLE, streamOf([SUBSAMPLE_SEED, 1]))
    : undefined
  const range = theory ? rangeOf(theory) : undefined
  let histogram = options.histogram && range ? new HistogramCounts(...range, options.bins) : undefined

  for await (const values of source.slices()) {
    moments.add(values)
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    hash.update(bytes)
    alsoHash?.(bytes)
    ks?.add(values)
    quantiles?.add(values)
    histogram?.add(values)
  }
  const sample = moments.result()
  if (options.histogram && !histogram) {
    histogram = new HistogramCounts(sample.min, sample.max, options.bins)
    for await (const values of source.slices()) histogram.add(values)
  }

  const cdf = drawn ? cdfOf(drawn) : undefined
  const { fanIn, fanOut } = fansOf(shape)
  const sorted = quantiles?.sorted()
  return {
    shape,
    size,
    dtype: 'float32',
    initializer,
    fan_in: fanIn,
    fan_out: fanOut,
    theory,
    sample: { ...sample, sha256: hash.digest('hex') },
    tests:
      theory && ks && cdf
        ? { ...momentTests(sample, theory, size), ks: kolmogorovSmirnov(ks.sorted(), cdf) }
        : null,
    exact: law ? exactness(law, shape, sample) : null,
    ...(histogram ? { histogram: histogram.result(size, cdf) } : {}),
    ...(sorted ? { quantiles: quantilesOf(sorted), quantiles_sample_size: sorted.length } : {}),
  }
}

function rangeOf({ min, max, mean, std }: Theory): [number, number] {
  return [min ?? mean - NORMAL_REACH * std, max ?? mean + NORMAL_REACH * std]
}

function exactness(law: Law, shape: readonly number[], sample: SampleMoments): boolean | null {
  if (law.kind === 'constant')
    return sample.min === law.value && sample.max === law.value && sample.non_finite === 0
  if (law.kind !== 'identity') return null
  const diagonal = Math.min(shape[0] ?? 1, shape[1] ?? 1)
  const off = sizeOf(shape) - diagonal
  return (
    sample.zeros === (law.gain === 0 ? sizeOf(shape) : off) &&
    sample.l2_norm === Math.sqrt(law.gain ** 2 * diagonal)
  )
}
