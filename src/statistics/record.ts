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

/** Shape and law of a measured tensor. */
export interface Measured {
  readonly shape: readonly number[]
  /** The law that it was drawn from; null for loaded weights. */
  readonly law: Law | null
}

/**
 * A tensor to measure. Each call of `slices` yields the values from the start. A slice is not empty, and belongs to
 * the reader with all of its buffer.
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

/** The measurements of a tensor. */
export const Measurement = Type.Object({
  shape: Type.Array(Type.Integer()),
  size: Type.Integer(),
  dtype: Type.Literal('float32'),
  fan_in: Type.Integer(),
  fan_out: Type.Integer(),
  theory: nullable(Theory),
  sample: Type.Object({ ...SampleMoments.properties, sha256: Type.String() }),
  tests: nullable(Tests, {
    description: 'null unless the law has independent entries and all values are finite',
  }),
  exact: nullable(Type.Boolean(), {
    description: 'True if every value equals that of a law without randomness; null for other laws',
  }),
  orthogonality_error: Type.Optional(
    nullable(Type.Number(), {
      description: 'For orthogonal laws, and for isometric convolutions by inputs; null for a gain of 0',
    }),
  ),
  histogram: Type.Optional(Histogram),
  quantiles: Type.Optional(
    Type.Record(Type.String(), Num, { description: 'Quantiles of finite values; NaN if there are none' }),
  ),
  quantiles_sample_size: Type.Optional(Type.Integer()),
  spectrum: Type.Optional(Spectrum),
  operator_spectrum: Type.Optional(OperatorSpectrum),
})
export type Measurement = Static<typeof Measurement>

const KS_SAMPLE = 100_000
const QUANTILE_SAMPLE = 2 ** 20
/** The seed of subsamples is fixed, so that records are reproducible. */
const SUBSAMPLE_SEED = 20
/** A normal's histogram extends over this many standard deviations; one value in two million lies beyond. */
const NORMAL_REACH = 5

/** The number of passes over a tensor's values: two if a histogram has no theory to set its edges. */
export function planPasses({ shape, law }: Measured, { histogram }: RecordOptions): 1 | 2 {
  return histogram && chooseRange(law, shape) === undefined ? 2 : 1
}

/**
 * Measures a tensor and compares it with its law, from its slices in order: one pass, or two (`planPasses`).
 * Spectra are not measured here, because they need the whole tensor.
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
  /** The moments, after the first pass. */
  #sample: SampleMoments | undefined
  #passed = 0

  /** `all` is also updated with the tensor's bytes, once. */
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

  /** Takes the next slice. Returns the record after the last one. */
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

/** The law for tests: one with independent entries and a positive, finite variance. */
function drawnLaw(law: Law | null, theory: Theory | null): ElementwiseLaw | undefined {
  if (!law || !theory || !isElementwise(law)) return undefined
  return theory.variance > 0 && theory.variance < Infinity ? law : undefined
}

/**
 * A histogram's edges by theory, if float32 can represent them; for draws limited to NORMAL_REACH standard
 * deviations.
 */
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
