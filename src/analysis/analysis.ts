import Type, { type Static } from 'typebox'
import type { Control } from '../control.ts'
import { CompleteInitializer, type Initializer } from '../initializers/initializer.ts'
import type { SeedVector } from '../initializers/seeds.ts'
import type { Specification } from '../network/specification.ts'
import { nullable, Num } from '../schema.ts'
import { Measurement, type RecordOptions } from '../statistics/record.ts'
import type { NetworkSignals, SignalOptions } from './signals.ts'

/** A network's weights: drawn from the specification, or in a safetensors file. */
export interface WeightsSource {
  readonly specification: Specification
  readonly weightsFile?: string
}

export const TensorStatistics = Type.Object({
  initializer: nullable(CompleteInitializer),
  ...Measurement.properties,
})
export type TensorStatistics = Static<typeof TensorStatistics>

export const ParameterStatistics = Type.Object({
  name: Type.String(),
  tensor_name: Type.String(),
  ...TensorStatistics.properties,
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
    flagged: Type.Array(Type.String()),
  }),
})
export type ModelStatistics = Static<typeof ModelStatistics>

/** How signals are to be measured; with pixels (uint8, whole images one after another) these are the input. */
export interface SignalsRequest extends Omit<SignalOptions, 'input'> {
  readonly pixels?: Uint8Array
}

export interface TensorDraw {
  readonly initializer: Initializer
  readonly shape: readonly number[]
  readonly seed: SeedVector
}

/** The part of the contract that is answered where the weights are drawn. */
export interface AnalysisMethods {
  /** SHA-256 over the true parameters in creation order: the trainable ones, or all that a weights file holds. */
  digest(weights: WeightsSource, options: { readonly buffers: boolean }): Promise<string>
  /** Statistics of the trainable parameters whose names match the glob; all of them without one. */
  statistics(
    weights: WeightsSource,
    options: RecordOptions & { readonly match?: string },
  ): Promise<ModelStatistics>
  /** `count` values of a stored tensor (parameter or buffer) from `offset` on, which must be a multiple of 4. */
  read(weights: WeightsSource, name: string, offset: number, count: number): Promise<Float32Array>
  tensorStatistics(draw: TensorDraw, options: RecordOptions): Promise<TensorStatistics>
  /** The values of one tensor. The caller limits its size. */
  sample(draw: TensorDraw): Promise<Float32Array>
  /**
   * Signals through each network in turn, all with the same input and labels. Its progress counts the repeats of all.
   * The caller limits the memory (`affordableMemory`); pixels must be those of `batch_size` images.
   */
  signals(networks: readonly WeightsSource[], request: SignalsRequest): Promise<NetworkSignals[]>
}

/** Methods as their callers see them: each may be watched and ended. */
type Controlled<M extends Record<keyof M, (...args: never[]) => unknown>> = {
  readonly [K in keyof M]: (...args: [...Parameters<M[K]>, control?: Control]) => ReturnType<M[K]>
}

/** `count` values of a stored tensor from `offset` on, which must be a multiple of 4. */
export type TensorReader = (name: string, offset: number, count: number) => Promise<Float32Array>

/**
 * Everything about weights that is not prediction, in a process of its own that never disturbs the engine: parameters
 * are pure functions, so they are drawn anew, tensor by tensor and in slices. One job runs at a time, in order of asking,
 * and QUEUE_FULL refuses those beyond a bound; digests are the service's own: they go first and are never refused. An
 * abort rejects at once with the signal's reason, whether the job waits or runs.
 */
export interface Analysis extends Controlled<Omit<AnalysisMethods, 'read'>> {
  /** Resolves once the process answers. */
  ready(): Promise<void>
  /** Resolves when its turn has come, or is refused; what it then reads waits in line as well, but is not refused. */
  reader(weights: WeightsSource, control?: Control): Promise<TensorReader>
  close(): Promise<void>
}
