import type { Specification } from './specification.ts'

/**
 * A network and the source of its weights: a safetensors file, or the specification's initializers. The engine builds
 * from it, and the analysis process reads the same weights through it.
 */
export interface WeightsSource {
  readonly specification: Specification
  /** A safetensors file of checked weights. Without it the weights are drawn. */
  readonly weightsFile?: string
  /** Measured factors of kernels, by name. */
  readonly factors?: Readonly<Record<string, number>>
}
