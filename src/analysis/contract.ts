import Type, { type Static } from 'typebox'
import type { CallOptions } from '../common/cancellation.ts'
import { CompleteInitializer, type Initializer } from '../initializers/initializer.ts'
import type { SeedVector } from '../initializers/seeds.ts'
import type { Specification } from '../network/specification.ts'
import { nullable, Num } from '../common/schema.ts'
import type { Layout } from '../statistics/candidates.ts'
import { Fit, VERDICTS } from '../statistics/fit.ts'
import { Measurement, type RecordOptions } from '../statistics/record.ts'
import { Relative } from '../statistics/relative.ts'
import type { WeightsSource } from '../network/weights-source.ts'
import type { NetworkSignals, SignalOptions } from './signals-contract.ts'

export const LayerScale = Type.Object({
  kernel: Type.String(),
  factor: Type.Number({ description: "Factor on the kernel's initializer" }),
  variance: {
    ...Num,
    description: 'Variance of the scaled output: on other Gaussian images, or on the images of the request',
  },
})
export type LayerScale = Static<typeof LayerScale>

/** Measured factors by kernel name. */
export function readFactors(measured: readonly LayerScale[]): Record<string, number> {
  return Object.fromEntries(measured.map(({ kernel, factor }) => [kernel, factor]))
}

export const TensorStatistics = Type.Object({
  initializer: nullable(CompleteInitializer),
  ...Measurement.properties,
})
export type TensorStatistics = Static<typeof TensorStatistics>

export const ParameterStatistics = Type.Object({
  name: Type.String(),
  tensor_name: Type.String(),
  factor: Type.Optional(
    Type.Number({ description: "The residual scheme's factor on the initializer; theory includes it" }),
  ),
  ...TensorStatistics.properties,
  relative: Type.Optional(Relative),
})
export type ParameterStatistics = Static<typeof ParameterStatistics>

export const ModelStatistics = Type.Object({
  parameters: Type.Array(ParameterStatistics),
  totals: Type.Object({
    count: Type.Integer(),
    size: Type.Integer(),
    l2_norm: Num,
    zeros: Type.Integer(),
    sha256: Type.String({ description: 'SHA-256 over the bytes of all measured parameters in order' }),
    smallest_p_holm: nullable(Type.Number()),
    duplicates: Type.Array(Type.Array(Type.String()), {
      description:
        'Groups of parameters with the same bytes, which a repeated seed causes; constants are excluded',
    }),
    flagged: Type.Array(Type.String(), {
      description: 'Parameters with a corrected p-value below 0.001, and duplicates',
    }),
    relative: Type.Optional(Relative),
  }),
})
export type ModelStatistics = Static<typeof ModelStatistics>

export const FittedTensor = Type.Object({
  name: Type.String(),
  shape: Type.Array(Type.Integer()),
  dtype: Type.String(),
  sample: nullable(Measurement.properties.sample, {
    description: 'Moments of the values as float32; null for an unsupported dtype',
  }),
  verdict: Type.Enum([...VERDICTS], {
    description:
      'fresh: some initializer explains the tensor; trained: no candidate does; constant: all values are equal; ' +
      'undecided: not enough evidence, or an unsupported dtype',
  }),
  note: Type.Optional(Type.String({ description: 'Reason of the verdict' })),
  candidates: Type.Array(Fit, { description: 'Best first' }),
})
export type FittedTensor = Static<typeof FittedTensor>

export const FittedWeights = Type.Object({
  layout: Type.Enum(['keras', 'torch'], {
    description: 'Layout for the fans: kernels [...window, in, out], or [out, in, ...window] (torch)',
  }),
  parameters: Type.Array(FittedTensor),
})
export type FittedWeights = Static<typeof FittedWeights>

/** The options of a signal measurement. `pixels` (uint8, concatenated images) replace Gaussian input. */
export interface SignalsRequest extends Omit<SignalOptions, 'input'> {
  readonly pixels?: Uint8Array
}

/** A tensor to draw: an initializer for a shape, with the seed vector if the initializer has no seed. */
export interface TensorDraw {
  readonly initializer: Initializer
  readonly shape: readonly number[]
  readonly seed: SeedVector
}

interface StatisticsOptions extends RecordOptions {
  readonly match?: string
  readonly relativeTo?: WeightsSource
}

/** One network's training on the digits by stochastic gradient descent with momentum. */
export interface Training {
  /** The specification of the initial weights. */
  readonly specification: Specification
  /** The seed of the order of the pictures. */
  readonly seed: number
  readonly learningRate: number
  readonly momentum: number
  readonly batchSize: number
  readonly steps: number
}

/** The state of a training, which determines its next step. */
export interface TrainingState {
  /** Completed steps. */
  readonly step: number
  /** Parameters and buffers in creation order, concatenated. */
  readonly values: Float32Array
  /** Velocity of the trainable parameters in creation order, concatenated. */
  readonly velocity: Float32Array
}

/** The result of some further steps. */
export interface TrainingPart {
  readonly state: TrainingState
  /** Mean cross entropy of each step's batch before its update, in nats. */
  readonly losses: readonly number[]
  /** True if the last loss is NaN or above DIVERGED times the loss of guessing. There is no further step. */
  readonly diverged: boolean
  /** Share of correctly classified test pictures, with moving moments; null before the last step. */
  readonly accuracy: number | null
}

/**
 * The calls of the analysis process. Arguments and results are copied between the processes, so each side owns its own.
 * Calls with a `weightsFile` reject with INVALID_WEIGHTS, or the file error, if the file cannot be read; the caller
 * keeps it unchanged during the call.
 */
export interface AnalysisMethods {
  /**
   * Draws tensors of a network in place into a safetensors file of all its parameters in creation order: the same bits
   * as if nothing had been loaded. Measures missing factors first. Rejects with STORAGE_FAILED if the file cannot be
   * written.
   */
  fillWeights(source: WeightsSource, names: readonly string[], path: string): Promise<void>
  /** SHA-256 over the unfolded parameters in creation order: the trainable ones, or with `buffers` all. */
  digest(weights: WeightsSource, options: { readonly buffers: boolean }): Promise<string>
  /**
   * Statistics of the trainable parameters whose names match the glob `match`, by default all. With `relativeTo`, also
   * the distance from other weights. Rejects with INVALID_REQUEST if these have other names or shapes, or if the
   * spectra cost too much.
   */
  statistics(weights: WeightsSource, options: StatisticsOptions): Promise<ModelStatistics>
  /**
   * Finds the initializers that the tensors of a safetensors file of any network may come from. Without a layout it is
   * detected from the tensors' names. Rejects with INVALID_WEIGHTS if the file is invalid or has no tensor.
   */
  fit(weightsFile: string, options: { readonly layout?: Layout }): Promise<FittedWeights>
  /**
   * Reads `count` values of a stored tensor (parameter or buffer) from `offset`, which must be a multiple of 4. Rejects
   * with INTERNAL if the network has no such tensor.
   */
  read(weights: WeightsSource, name: string, offset: number, count: number): Promise<Float32Array>
  /**
   * Returns the bytes of `saved_model.pb` for any TensorFlow. For loaded weights the files of `variables/` are written
   * to the folder, which the caller creates and removes; for drawn weights nothing is written. Rejects with
   * STORAGE_FAILED if the folder cannot be written.
   */
  savedModel(weights: WeightsSource, folder: string): Promise<Uint8Array>
  /**
   * Measures LSUV's factors in layer order, on Gaussian images or on concatenated uint8 images of the input's size.
   * Rejects with INVALID_REQUEST if no float32 factor gives a layer unit variance.
   */
  unitVariance(specification: Specification, pixels?: Uint8Array): Promise<LayerScale[]>
  /** Statistics of one drawn tensor. Rejects with INVALID_REQUEST if its spectra cost too much. */
  tensorStatistics(draw: TensorDraw, options: RecordOptions): Promise<TensorStatistics>
  /** The values of one drawn tensor. The caller limits its size. */
  sample(draw: TensorDraw): Promise<Float32Array>
  /**
   * Measures signals through each network in turn, all with the same input and labels. Missing factors are measured
   * first. Progress counts the repeats of all networks. The caller limits the memory (`affordableMemory`), and `pixels`
   * must hold `batch_size` images.
   */
  signals(networks: readonly WeightsSource[], request: SignalsRequest): Promise<NetworkSignals[]>
  /**
   * Runs at least one further step, and as many as begin within `maxMs`, from drawn weights or from an earlier state.
   * The result does not depend on the division into calls. The specification must have the digits' input shape and
   * classes. Has the lowest priority.
   */
  train(training: Training, from: TrainingState | null, maxMs: number): Promise<TrainingPart>
}

/** The methods as callers see them: each call can report progress and be aborted. */
type Controlled<M extends Record<keyof M, (...args: never[]) => unknown>> = {
  readonly [K in keyof M]: (...args: [...Parameters<M[K]>, control?: CallOptions]) => ReturnType<M[K]>
}

/** Reads `count` values of a stored tensor from `offset`, which must be a multiple of 4. */
type TensorReader = (name: string, offset: number, count: number) => Promise<Float32Array>

/**
 * All computations on weights except prediction, in a separate process with a lower priority than the engine.
 * Parameters are pure functions, so they are drawn again, tensor by tensor and in slices. One job runs at a time, in
 * call order; digests run first. The creator closes it.
 *
 * Every call rejects with QUEUE_FULL if too many client jobs wait (digests never do), with the signal's reason as soon
 * as the signal aborts, queued or running, and with ENGINE_CRASHED if the process crashes or hangs twice.
 */
export interface Analysis extends Controlled<Omit<AnalysisMethods, 'read'>> {
  /** Resolves when the process accepts calls. */
  ready(): Promise<void>
  /** True if the process has started, is not being restarted, and is not stopped by the system. */
  readonly answering: boolean
  /**
   * Resolves with a reader when the job's turn comes; the reader's calls queue as well, but are never rejected with
   * QUEUE_FULL.
   */
  reader(weights: WeightsSource, control?: CallOptions): Promise<TensorReader>
  /** Ends the process. Calls in progress reject. */
  close(): Promise<void>
}
