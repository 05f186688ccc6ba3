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
  factor: Type.Number({ description: "What the kernel's initializer is multiplied by" }),
  variance: {
    ...Num,
    description: 'Of what it then gives, on other Gaussian images; on the given ones, where images were',
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
    Type.Number({ description: 'What the residual scheme multiplies the initializer by; theory has it in' }),
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
    sha256: Type.String({ description: 'Over the bytes of all measured parameters in order' }),
    smallest_p_holm: nullable(Type.Number()),
    duplicates: Type.Array(Type.Array(Type.String()), {
      description: 'Parameters with the same bytes that are no constants, as a seed used twice gives them',
    }),
    flagged: Type.Array(Type.String(), { description: 'Below 0.001 after correction, or among duplicates' }),
    relative: Type.Optional(Relative),
  }),
})
export type ModelStatistics = Static<typeof ModelStatistics>

export const FittedTensor = Type.Object({
  name: Type.String(),
  shape: Type.Array(Type.Integer()),
  dtype: Type.String(),
  sample: nullable(Measurement.properties.sample, {
    description: 'Of the values as float32; null for a dtype that is not read',
  }),
  verdict: Type.Enum([...VERDICTS], {
    description:
      'fresh: some initializer explains the tensor; trained: none of the candidates does; constant: all values are ' +
      'equal; undecided: too small to tell, or not of numbers',
  }),
  note: Type.Optional(Type.String({ description: 'Why it is undecided' })),
  candidates: Type.Array(Fit, { description: 'The best first' }),
})
export type FittedTensor = Static<typeof FittedTensor>

export const FittedWeights = Type.Object({
  layout: Type.Enum(['keras', 'torch'], {
    description: 'By which fans are counted: kernels [...window, in, out], or torch [out, in, ...window]',
  }),
  parameters: Type.Array(FittedTensor),
})
export type FittedWeights = Static<typeof FittedWeights>

/** The options of a signal measurement. `pixels` (uint8, whole images in a row) replace Gaussian input. */
export interface SignalsRequest extends Omit<SignalOptions, 'input'> {
  readonly pixels?: Uint8Array
}

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
  /** The specification that its weights are drawn from. */
  readonly specification: Specification
  /** The seed of the order of the pictures. */
  readonly seed: number
  readonly learningRate: number
  readonly momentum: number
  readonly batchSize: number
  readonly steps: number
}

/** The state of a training: everything that its next step depends on. */
export interface TrainingState {
  /** Steps done. */
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
  /**
   * The share of correctly classified test pictures, with moving moments; null until the last step is done.
   */
  readonly accuracy: number | null
}

/** The calls that the analysis process answers. */
export interface AnalysisMethods {
  /**
   * SHA-256 over the true parameters in creation order: the trainable ones, or everything that a weights file
   * holds.
   */
  digest(weights: WeightsSource, options: { readonly buffers: boolean }): Promise<string>
  /**
   * Statistics of the trainable parameters whose names match the glob, or of all. With `relativeTo`, also the
   * distance from other weights, which must have the same names and shapes; INVALID_REQUEST otherwise, and
   * for spectra that cost too much.
   */
  statistics(weights: WeightsSource, options: StatisticsOptions): Promise<ModelStatistics>
  /**
   * The initializers that the tensors of a safetensors file of any network may come from. Without a layout it
   * is detected from the tensors' names. INVALID_WEIGHTS if the file is invalid or holds no tensor.
   */
  fit(weightsFile: string, options: { readonly layout?: Layout }): Promise<FittedWeights>
  /** `count` values of a stored tensor (parameter or buffer) from `offset`, which must be a multiple of 4. */
  read(weights: WeightsSource, name: string, offset: number, count: number): Promise<Float32Array>
  /**
   * The bytes of `saved_model.pb` for any TensorFlow. For loaded weights the files of `variables/` are
   * written to the folder, which the caller owns. Otherwise the init op draws every weight and nothing is
   * written.
   */
  savedModel(weights: WeightsSource, folder: string): Promise<Uint8Array>
  /**
   * LSUV's factors in layer order, measured on Gaussian images or on uint8 images of the input's size,
   * concatenated.
   */
  unitVariance(specification: Specification, pixels?: Uint8Array): Promise<LayerScale[]>
  tensorStatistics(draw: TensorDraw, options: RecordOptions): Promise<TensorStatistics>
  /** The values of one tensor. The caller limits its size. */
  sample(draw: TensorDraw): Promise<Float32Array>
  /**
   * Signals through each network in turn, all with the same input and labels. Factors are measured first if a
   * scheme needs them and the source has none. Progress counts the repeats of all networks. The caller limits
   * the memory (`affordableMemory`); `pixels` must hold `batch_size` images.
   */
  signals(networks: readonly WeightsSource[], request: SignalsRequest): Promise<NetworkSignals[]>
  /**
   * Runs at least one further step, and as many as begin within `maxMs`, from drawn weights or from an
   * earlier part's state, however the steps are divided. The specification's network must take the digits.
   * Has the lowest priority.
   */
  train(training: Training, from: TrainingState | null, maxMs: number): Promise<TrainingPart>
}

/** The methods as callers see them: each call can be observed and aborted. */
type Controlled<M extends Record<keyof M, (...args: never[]) => unknown>> = {
  readonly [K in keyof M]: (...args: [...Parameters<M[K]>, control?: CallOptions]) => ReturnType<M[K]>
}

/** Reads `count` values of a stored tensor from `offset`, which must be a multiple of 4. */
type TensorReader = (name: string, offset: number, count: number) => Promise<Float32Array>

/**
 * All computations on weights except prediction, in a process of their own that never delays the engine.
 * Parameters are pure functions, so they are drawn again, tensor by tensor and in slices. One job runs at a
 * time, in call order; QUEUE_FULL rejects jobs beyond a bound. Digests run first and are never rejected. An
 * abort rejects at once with the signal's reason, whether the job is queued or running.
 */
export interface Analysis extends Controlled<Omit<AnalysisMethods, 'read'>> {
  /** Resolves when the process answers calls. */
  ready(): Promise<void>
  /** Whether it answers now: it has started, is not being restarted, and the system has not stopped it. */
  readonly answering: boolean
  /** Resolves when its turn has come, or is refused; what it then reads waits in line as well, but is not refused. */
  reader(weights: WeightsSource, control?: CallOptions): Promise<TensorReader>
  close(): Promise<void>
}
