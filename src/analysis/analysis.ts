import Type, { type Static } from 'typebox'
import type { Control } from '../control.ts'
import { CompleteInitializer, type Initializer } from '../initializers/initializer.ts'
import type { SeedVector } from '../initializers/seeds.ts'
import type { Specification } from '../network/specification.ts'
import { nullable, Num } from '../schema.ts'
import type { Layout } from '../statistics/candidates.ts'
import { Fit, VERDICTS } from '../statistics/fit.ts'
import { Measurement, type RecordOptions } from '../statistics/record.ts'
import { Relative } from '../statistics/relative.ts'
import type { NetworkSignals, SignalOptions } from './signals.ts'

/** A network's weights: drawn from the specification, or in a safetensors file. */
export interface WeightsSource {
  readonly specification: Specification
  readonly weightsFile?: string
  /** What kernels are multiplied by, by name, as it was measured of them. */
  readonly factors?: Readonly<Record<string, number>>
}

export const LayerScale = Type.Object({
  kernel: Type.String(),
  factor: Type.Number({ description: "What the kernel's initializer is multiplied by" }),
  variance: {
    ...Num,
    description: 'Of what it then gives, on other Gaussian images; on the given ones, where images were',
  },
})
export type LayerScale = Static<typeof LayerScale>

/** Measured factors by the names of their kernels. */
export function factorsOf(measured: readonly LayerScale[]): Record<string, number> {
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

/** How signals are to be measured; with pixels (uint8, whole images one after another) these are the input. */
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
  /** What its weights are drawn from. */
  readonly specification: Specification
  /** Of the order of the pictures. */
  readonly seed: number
  readonly learningRate: number
  readonly momentum: number
  readonly batchSize: number
  readonly steps: number
}

/** Where a training is: all that its next step depends on. */
export interface TrainingState {
  /** Steps done. */
  readonly step: number
  /** Parameters and buffers in creation order, joined. */
  readonly values: Float32Array
  /** Of the trainable parameters in creation order, joined. */
  readonly velocity: Float32Array
}

/** Some further steps of a training. */
export interface TrainingPart {
  readonly state: TrainingState
  /** Mean cross entropy of each step's batch before its update, in nats. */
  readonly losses: readonly number[]
  /** The last loss is no number, or beyond DIVERGED times that of guessing; there is no further step. */
  readonly diverged: boolean
  /** Share of the test pictures whose class is right, by moving moments; null until the last step is done. */
  readonly accuracy: number | null
}

/** The part of the contract that is answered where the weights are drawn. */
export interface AnalysisMethods {
  /** SHA-256 over the true parameters in creation order: the trainable ones, or all that a weights file holds. */
  digest(weights: WeightsSource, options: { readonly buffers: boolean }): Promise<string>
  /**
   * Statistics of the trainable parameters whose names match the glob; all of them without one. With `relativeTo`, how
   * far they are from those of other weights, which must have the same names and shapes: INVALID_REQUEST otherwise, as
   * for spectra that cost too much.
   */
  statistics(weights: WeightsSource, options: StatisticsOptions): Promise<ModelStatistics>
  /**
   * Which initializers the tensors of a safetensors file of any network may come from. Without a layout it is found by
   * the tensors' names. INVALID_WEIGHTS where the file is none, or holds no tensor.
   */
  fit(weightsFile: string, options: { readonly layout?: Layout }): Promise<FittedWeights>
  /** `count` values of a stored tensor (parameter or buffer) from `offset` on, which must be a multiple of 4. */
  read(weights: WeightsSource, name: string, offset: number, count: number): Promise<Float32Array>
  /**
   * The bytes of `saved_model.pb` for any TensorFlow. Of loaded weights the files of `variables/` are left in the folder,
   * which is the caller's; of others the init op draws every weight, and nothing is.
   */
  savedModel(weights: WeightsSource, folder: string): Promise<Uint8Array>
  /** LSUV's factors, in the order of the layers, on Gaussian images or on uint8 images of the input's size, joined. */
  unitVariance(specification: Specification, pixels?: Uint8Array): Promise<LayerScale[]>
  tensorStatistics(draw: TensorDraw, options: RecordOptions): Promise<TensorStatistics>
  /** The values of one tensor. The caller limits its size. */
  sample(draw: TensorDraw): Promise<Float32Array>
  /**
   * Signals through each network in turn, with factors measured first where its scheme wants some and the source has none; all with the same input and labels. Its progress counts the repeats of all.
   * The caller limits the memory (`affordableMemory`); pixels must be those of `batch_size` images.
   */
  signals(networks: readonly WeightsSource[], request: SignalsRequest): Promise<NetworkSignals[]>
  /**
   * At least one further step, and as many as begin within `maxMs`: from drawn weights, or from where an earlier part
   * ended, however the steps are divided into parts. The specification's network takes the digits. Waits behind every
   * other question.
   */
  train(training: Training, from: TrainingState | null, maxMs: number): Promise<TrainingPart>
}

/** Methods as their callers see them: each may be watched and ended. */
type Controlled<M extends Record<keyof M, (...args: never[]) => unknown>> = {
  readonly [K in keyof M]: (...args: [...Parameters<M[K]>, control?: Control]) => ReturnType<M[K]>
}

/** `count` values of a stored tensor from `offset` on, which must be a multiple of 4. */
type TensorReader = (name: string, offset: number, count: number) => Promise<Float32Array>

/**
 * Everything about weights that is not prediction, in a process of its own that never disturbs the engine: parameters
 * are pure functions, so they are drawn anew, tensor by tensor and in slices. One job runs at a time, in order of asking,
 * and QUEUE_FULL refuses those beyond a bound; digests are the service's own: they go first and are never refused. An
 * abort rejects at once with the signal's reason, whether the job waits or runs.
 */
export interface Analysis extends Controlled<Omit<AnalysisMethods, 'read'>> {
  /** Resolves once the process answers. */
  ready(): Promise<void>
  /** Whether it answers now: it has started, is not being restarted, and the system has not stopped it. */
  readonly answering: boolean
  /** Resolves when its turn has come, or is refused; what it then reads waits in line as well, but is not refused. */
  reader(weights: WeightsSource, control?: Control): Promise<TensorReader>
  close(): Promise<void>
}
