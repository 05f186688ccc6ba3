import { createHash } from 'node:crypto'
import Type, { type Static } from 'typebox'
import { fansOf, sizeOf } from '../initializers/fans.ts'
import { isElementwise, theoryOf, Theory, type ElementwiseLaw, type Law } from '../initializers/law.ts'
import { streamOf } from '../initializers/seeds.ts'
import { nullable, Num } from '../schema.ts'
import { cdfOf } from './distribution.ts'
import { Histogram, HistogramCounts, quantilesOf } from './histogram.ts'
import { MomentSums, SampleMoments } from './moments.ts'
import { OperatorSpectrum } from './operator-spectrum.ts'
import { Spectrum } from './spectrum.ts'
import { Subsample } from './subsample.ts'
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
  exact: nullable(Type.Boolean(), { description: 'Whether a constant or identity is met to the bit' }),
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
  const hash = createHash('sha256')
  const ks = drawn ? new Subsample(size, KS_SAMPLE, streamOf([SUBSAMPLE_SEED, 0])) : undefined
  const quantiles = options.quantiles
    ? new Subsample(size, QUANTILE_SAMPLE, streamOf([SUBSAMPLE_SEED, 1]))
    : undefined
  const range = theory && rangeOf(theory)
  let histogram = options.histogram && range ? new HistogramCounts(...range, options.bins) : undefined

  for await (const values of source.slices()) {
    moments.add(values)
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
  const ranked = quantiles?.finite()
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
        ? { ...momentTests(sample, theory, size), ks: kolmogorovSmirnov(ks.sorted(), cdf) }
        : null,
    exact: law ? exactness(law, shape, sample) : null,
    ...(histogram ? { histogram: histogram.result(size, cdf) } : {}),
    ...(ranked ? { quantiles: quantilesOf(ranked), quantiles_sample_size: ranked.length } : {}),
  }
}

/** The law whose CDF and moments a sample can be held against: it has a spread, and numbers can say it. */
function drawnLaw(law: Law, { variance }: Theory): ElementwiseLaw | undefined {
  return isElementwise(law) && variance > 0 && variance < Infinity ? law : undefined
}

/** A histogram's edges by theory, where float32 reaches them. */
function rangeOf({ min, max, mean, std }: Theory): [number, number] | undefined {
  const range = [min ?? mean - NORMAL_REACH * std, max ?? mean + NORMAL_REACH * std] as [number, number]
  return range.every((edge) => Number.isFinite(Math.fround(edge))) ? range : undefined
}

function exactness(law: Law, shape: readonly number[], sample: SampleMoments): boolean | null {
  const within = (low: number, high: number): boolean =>
    sample.min === low && sample.max === high && sample.non_finite === 0
  if (law.kind === 'constant') return within(law.value, law.value)
  if (law.kind !== 'identity') return null
  const gain = Math.fround(law.gain)
  const off = sizeOf(shape) - Math.min(shape[0] ?? 1, shape[1] ?? 1)
  if (off === 0) return within(gain, gain)
  return within(Math.min(0, gain), Math.max(0, gain)) && sample.zeros === (gain === 0 ? sizeOf(shape) : off)
}
