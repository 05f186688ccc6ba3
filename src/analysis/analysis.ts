import Type, { type Static } from 'typebox'
import { CompleteInitializer, type Initializer } from '../initializers/initializer.ts'
import type { SeedVector } from '../initializers/seeds.ts'
import type { Specification } from '../network/specification.ts'
import { nullable, Num } from '../schema.ts'
import { Measurement, type RecordOptions } from '../statistics/record.ts'

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

export interface TensorDraw {
  readonly initializer: Initializer
  readonly shape: readonly number[]
  readonly seed: SeedVector
}

/**
 * Everything about weights that is not prediction, in a process of its own that never disturbs the engine: parameters
 * are pure functions, so they are drawn anew, tensor by tensor and in slices. One job runs at a time, in order of asking.
 */
export interface Analysis {
  /** Resolves once the process answers. */
  ready(): Promise<void>
  /** SHA-256 over the true parameters in creation order: the trainable ones, or all that a weights file holds. */
  digest(weights: WeightsSource, options: { readonly buffers: boolean }): Promise<string>
  /** Statistics of the trainable parameters whose names match the glob; all of them without one. */
  statistics(
    weights: WeightsSource,
    options: RecordOptions & { readonly match?: string },
  ): Promise<ModelStatistics>
  /** `count` values of a stored tensor (parameter or buffer) from `offset` on, which must be a multiple of 4. */
  read(weights: WeightsSource, name: string, offset: number, count: number): Promise<Float32Array>
  /** LSUV's factors, in the order of the layers, on Gaussian images or on uint8 images of the input's size, joined. */
  unitVariance(specification: Specification, pixels?: Uint8Array): Promise<LayerScale[]>
  tensorStatistics(draw: TensorDraw, options: RecordOptions): Promise<TensorStatistics>
  /** The values of one tensor. The caller limits its size. */
  sample(draw: TensorDraw): Promise<Float32Array>
  close(): Promise<void>
}

/** The part of the contract that is answered where the weights are drawn. */
export type AnalysisMethods = Omit<Analysis, 'ready' | 'close'>
