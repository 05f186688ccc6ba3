import { createHash, type Hash } from 'node:crypto'
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
import { deriveStream } from '../initializers/seeds.ts'
import { nullable, Num } from '../common/schema.ts'
import { cdfOf } from './distribution.ts'
import { Exactness } from './exactness.ts'
import { Histogram, HistogramCounts, computeQuantiles } from './histogram.ts'
import { MomentSums, SampleMoments } from './moments.ts'
import { sortFloats } from './order.ts'
import { OperatorSpectrum } from './operator-spectrum.ts'
import { Spectrum } from './spectrum.ts'
import { keepFinite, Subsample } from './subsample.ts'
import { kolmogorovSmirnov, momentTests, Tests } from './tests.ts'

/** What is measured, but for its values. */
export interface Measured {
  readonly shape: readonly number[]
  /** What it was drawn from; loaded weights have none. */
  readonly law: Law | null
}

/**
 * A tensor to measure: its values go by in slices, from the start each time they are asked for. A slice is not
 * empty, and the reader's, to keep or to give away with all of its buffer.
 */
export interface TensorSource extends Measured {
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
    nullable(Type.Number(), {
      description: 'Of orthogonal laws, and of isometric convolutions by inputs; null for a gain of 0',
    }),
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

/** How often a tensor's values have to go by: twice where a histogram has no theory to set its edges. */
export function planPasses({ shape, law }: Measured, { histogram }: RecordOptions): 1 | 2 {
  return histogram && chooseRange(law, shape) === undefined ? 2 : 1
}

/**
 * Measures a tensor against its law, from its slices in order: all of them once, and once more where `passesOf` says so.
 * Spectra are not measured here: they take more than a pass.
 */
export class Measure {
  readonly #tensor: Measured
  readonly #options: RecordOptions
  readonly #size: number
  readonly #theory: Theory | null
  readonly #cdf: ((x: number) => number) | undefined
  readonly #moments = new MomentSums()
  readonly #exact: Exactness | undefined
  readonly #hash = createHash('sha256')
  readonly #all: Hash | undefined
  readonly #ks: Subsample | undefined
  readonly #quantiles: Subsample | undefined
  #histogram: HistogramCounts | undefined
  /** Of the first pass, once it is over. */
  #sample: SampleMoments | undefined
  #passed = 0

  /** `all` takes the bytes in as well, once. */
  constructor(tensor: Measured, options: RecordOptions, all?: Hash) {
    const { shape, law } = tensor
    this.#tensor = tensor
    this.#options = options
    this.#all = all
    this.#size = sizeOf(shape)
    this.#theory = law ? theoryOf(law, shape) : null
    const drawn = drawnLaw(law, this.#theory)
    const range = chooseRange(law, shape)
    const subsample = (most: number, stream: number): Subsample =>
      new Subsample(this.#size, most, deriveStream([SUBSAMPLE_SEED, stream]))
    this.#cdf = drawn && cdfOf(drawn)
    this.#exact = law && isFixed(law) ? new Exactness(law, shape) : undefined
    this.#ks = drawn ? subsample(KS_SAMPLE, 0) : undefined
    this.#quantiles = options.quantiles ? subsample(QUANTILE_SAMPLE, 1) : undefined
    this.#histogram = options.histogram && range ? new HistogramCounts(...range, options.bins) : undefined
  }

  /** Takes the next slice; the record, once that was the last. */
  add(values: Float32Array): Measurement | undefined {
    this.#histogram?.add(values)
    if (this.#sample === undefined) {
      this.#moments.add(values)
      this.#exact?.add(values)
      this.#hash.update(values)
      this.#all?.update(values)
      this.#ks?.add(values)
      this.#quantiles?.add(values)
    }
    this.#passed += values.length
    if (this.#passed < this.#size) return undefined
    this.#passed = 0
    this.#sample ??= this.#moments.result()
    if (!this.#options.histogram || this.#histogram) return this.#record(this.#sample)
    const { non_finite, min, max } = this.#sample
    this.#histogram = new HistogramCounts(
      ...(non_finite < this.#size ? ([min, max] as const) : ([0, 1] as const)),
      this.#options.bins,
    )
    return undefined
  }

  #record(sample: SampleMoments): Measurement {
    const { shape } = this.#tensor
    const { fanIn, fanOut } = fansOf(shape)
    const [size, theory, ks, cdf] = [this.#size, this.#theory, this.#ks, this.#cdf]
    const taken = this.#quantiles?.values()
    const ranked = taken && sample.non_finite > 0 ? keepFinite(taken) : taken
    return {
      shape: [...shape],
      size,
      dtype: 'float32',
      fan_in: fanIn,
      fan_out: fanOut,
      theory,
      sample: { ...sample, sha256: this.#hash.digest('hex') },
      tests:
        theory && ks && cdf && sample.non_finite === 0
          ? { ...momentTests(sample, theory, size), ks: kolmogorovSmirnov(sortFloats(ks.values()), cdf) }
          : null,
      exact: this.#exact?.result() ?? null,
      ...(this.#histogram ? { histogram: this.#histogram.result(size, cdf) } : {}),
      ...(ranked ? { quantiles: computeQuantiles(ranked), quantiles_sample_size: ranked.length } : {}),
    }
  }
}

/** The law whose CDF and moments a sample can be held against: it has a spread, and numbers can say it. */
function drawnLaw(law: Law | null, theory: Theory | null): ElementwiseLaw | undefined {
  if (!law || !theory || !isElementwise(law)) return undefined
  return theory.variance > 0 && theory.variance < Infinity ? law : undefined
}

/** A histogram's edges by theory, where float32 reaches them; of draws no further than they do. */
function chooseRange(law: Law | null, shape: readonly number[]): [number, number] | undefined {
  const theory = law && theoryOf(law, shape)
  if (!theory) return undefined
  const { min, max, mean, std } = theory
  const reach = drawnLaw(law, theory) ? NORMAL_REACH * std : Infinity
  const range: [number, number] = [
    Math.max(min ?? -Infinity, mean - reach),
    Math.min(max ?? Infinity, mean + reach),
  ]
  return range.every((edge) => Number.isFinite(Math.fround(edge))) ? range : undefined
}
