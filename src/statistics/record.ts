import { createHash } from 'node:crypto'
import Type, { type Static } from 'typebox'
import { fansOf, sizeOf } from '../initializers/fans.ts'
import {
  isElementwise,
  isFixed,
  theoryOf,
  Theory,
  type ElementwiseLaw,
  type Law,
} from '../initializers/law.ts'
import { streamOf } from '../initializers/seeds.ts'
import { nullable, Num } from '../schema.ts'
import { cdfOf } from './distribution.ts'
import { Exactness } from './exactness.ts'
import { Histogram, HistogramCounts, quantilesOf } from './histogram.ts'
import { MomentSums, SampleMoments } from './moments.ts'
import { sortFloats } from './order.ts'
import { OperatorSpectrum } from './operator-spectrum.ts'
import { Spectrum } from './spectrum.ts'
import { finite, Subsample } from './subsample.ts'
import { kolmogorovSmirnov, momentTests, Tests } from './tests.ts'

/** A tensor to measure: its values go by in slices, from the start each time they are asked for. */
export interface TensorSource {
  readonly shape: readonly number[]
  /** What it was drawn from; loaded weights have none. */
  readonly law: Law | null
  slices(): AsyncIterable<Float32Array>
}

export interface RecordOptions {
  readonly histogram: boolean
  readonly quantiles: boolean
  readonly spectrum: boolean
  readonly operatorSpectrum: boolean
  readonly bins: number
}

/** What is measured of a tensor. */
export const Measurement = Type.Object({
  shape: Type.Array(Type.Integer()),
  size: Type.Integer(),
  dtype: Type.Literal('float32'),
  fan_in: Type.Integer(),
  fan_out: Type.Integer(),
  theory: nullable(Theory),
  sample: Type.Object({ ...SampleMoments.properties, sha256: Type.String() }),
  tests: nullable(Tests, {
    description: 'null where entries are no independent draws: not drawn so, or not all of them finite',
  }),
  exact: nullable(Type.Boolean(), {
    description: 'Whether every value is that of a law that leaves nothing to chance; null of others',
  }),
  orthogonality_error: Type.Optional(
    nullable(Type.Number(), { description: 'Of orthogonal laws; null for a gain of 0' }),
  ),
  histogram: Type.Optional(Histogram),
  quantiles: Type.Optional(
    Type.Record(Type.String(), Num, { description: 'Of finite values; NaN where there is none' }),
  ),
  quantiles_sample_size: Type.Optional(Type.Integer()),
  spectrum: Type.Optional(Spectrum),
  operator_spectrum: Type.Optional(OperatorSpectrum),
})
export type Measurement = Static<typeof Measurement>

const KS_SAMPLE = 100_000
const QUANTILE_SAMPLE = 2 ** 20
/** Which values a subsample takes is fixed for all time, so that a record is reproducible too. */
const SUBSAMPLE_SEED = 20
/** A normal's histogram reaches this many deviations; one value in two million lies beyond. */
const NORMAL_REACH = 5

/**
 * Measures a tensor against its law. One pass over the values; two where a histogram has no theory to set its edges.
 * `look` is shown every slice once, in order. Spectra are not measured here: they take more than a pass.
 */
export async function measure(
  source: TensorSource,
  options: RecordOptions,
  look?: (values: Float32Array) => Promise<void>,
): Promise<Measurement> {
  const { shape, law } = source
  const size = sizeOf(shape)
  const theory = law ? theoryOf(law, shape) : null
  const drawn = law && theory ? drawnLaw(law, theory) : undefined
  const cdf = drawn && cdfOf(drawn)
  const moments = new MomentSums(theory?.mean ?? 0, theory?.std ?? 1)
  const exact = law && isFixed(law) ? new Exactness(law, shape) : undefined
  const hash = createHash('sha256')
  const ks = drawn ? new Subsample(size, KS_SAMPLE, streamOf([SUBSAMPLE_SEED, 0])) : undefined
  const quantiles = options.quantiles
    ? new Subsample(size, QUANTILE_SAMPLE, streamOf([SUBSAMPLE_SEED, 1]))
    : undefined
  const range = theory && rangeOf(theory, drawn)
  let histogram = options.histogram && range ? new HistogramCounts(...range, options.bins) : undefined

  for await (const values of source.slices()) {
    moments.add(values)
    exact?.add(values)
    hash.update(values)
    ks?.add(values)
    quantiles?.add(values)
    histogram?.add(values)
    await look?.(values)
  }
  const sample = moments.result()
  if (options.histogram && !histogram) {
    const [low, high] = sample.non_finite < size ? [sample.min, sample.max] : [0, 0]
    histogram = new HistogramCounts(low, high, options.bins)
    for await (const values of source.slices()) histogram.add(values)
  }

  const { fanIn, fanOut } = fansOf(shape)
  const finiteOf = (values: Float32Array): Float32Array => (sample.non_finite > 0 ? finite(values) : values)
  const ranked = quantiles && finiteOf(quantiles.values())
  return {
    shape: [...shape],
    size,
    dtype: 'float32',
    fan_in: fanIn,
    fan_out: fanOut,
    theory,
    sample: { ...sample, sha256: hash.digest('hex') },
    tests:
      theory && ks && cdf && sample.non_finite === 0
        ? { ...momentTests(sample, theory, size), ks: kolmogorovSmirnov(sortFloats(ks.values()), cdf) }
        : null,
    exact: exact?.result() ?? null,
    ...(histogram ? { histogram: histogram.result(size, cdf) } : {}),
    ...(ranked ? { quantiles: quantilesOf(ranked), quantiles_sample_size: ranked.length } : {}),
  }
}

/** The law whose CDF and moments a sample can be held against: it has a spread, and numbers can say it. */
function drawnLaw(law: Law, { variance }: Theory): ElementwiseLaw | undefined {
  return isElementwise(law) && variance > 0 && variance < Infinity ? law : undefined
}

/** A histogram's edges by theory, where float32 reaches them; of draws no further than they do. */
function rangeOf({ min, max, mean, std }: Theory, drawn?: ElementwiseLaw): [number, number] | undefined {
  const reach = drawn ? NORMAL_REACH * std : Infinity
  const range: [number, number] = [
    Math.max(min ?? -Infinity, mean - reach),
    Math.min(max ?? Infinity, mean + reach),
  ]
  return range.every((edge) => Number.isFinite(Math.fround(edge))) ? range : undefined
}
