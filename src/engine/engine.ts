import type { Specification } from '../network/specification.ts'

export interface EngineInfo {
  readonly backend: 'tensorflow'
  readonly device: 'CPU' | 'GPU'
  readonly library_version: string
  /** Whether bfloat16 is multiplied by the device itself; elsewhere it goes through float32 and gains nothing. */
  readonly multiplies_bfloat16: boolean
}

export interface BuildRequest {
  /** The name the engine keeps the model under; the caller's choice. */
  readonly id: string
  readonly specification: Specification
  /** A safetensors file of checked weights to load; without it they are drawn. */
  readonly weightsFile?: string
  /** What kernels are multiplied by, by name, as it was measured of them. */
  readonly factors?: Readonly<Record<string, number>>
}

export interface BuildResult {
  /** SHA-256 over the variables as the session holds them, batch norm folded. */
  readonly seal: string
  readonly artifactBytes: number
}

/**
 * Whole images of a model's input shape, one after another: uint8 pixels, or float32 that enters without preprocessing;
 * or JPEGs of three colours whose headers say that size, still encoded.
 */
export type ImageValues = Uint8Array | Float32Array | readonly Uint8Array[]

/** Images are joined with those of their kind. A Buffer is as good as any Uint8Array. */
export function kindOf(values: ImageValues): 'pixels' | 'floats' | 'jpegs' {
  if (values instanceof Uint8Array) return 'pixels'
  return values instanceof Float32Array ? 'floats' : 'jpegs'
}

/** Rows that are long and seldom wanted: they stay with the engine unless they are. */
export const VECTORS = ['logits', 'probabilities', 'features'] as const
export type Vector = (typeof VECTORS)[number]

/** Images of one model and one kind, joined. */
export interface Batch {
  readonly id: string
  readonly count: number
  readonly values: ImageValues
  /** How many top classes to give. */
  readonly k: number
  readonly vectors: readonly Vector[]
}

/** Results by row, flat: top [count, k], of vectors those that were wanted, logits and probabilities [count, classes]. */
export interface BatchResult {
  readonly topClasses: Int32Array
  readonly topLogits: Float32Array
  readonly topProbabilities: Float32Array
  readonly entropy: Float32Array
  /** Whether all of a row's logits are finite: 1 or 0. */
  readonly finite: Int32Array
  readonly vectors: Readonly<Partial<Record<Vector, Float32Array>>>
  /** JPEGs that the engine cannot decode, by their index: their rows mean nothing. The others are not disturbed. */
  readonly undecoded: readonly number[]
  /** Until images were as the network takes them: decoded and, on the CPU, preprocessed. */
  readonly decodeMs: number
  readonly computeMs: number
}

/** A vector that was asked for. */
export function vectorOf({ vectors }: Pick<BatchResult, 'vectors'>, vector: Vector): Float32Array {
  const values = vectors[vector]
  if (values === undefined) throw new TypeError(`nobody asked for ${vector}`)
  return values
}

/**
 * Builds and runs networks. One owner: whoever creates an engine closes it.
 *
 * `predict` refuses a batch that does not fit its model (INVALID_REQUEST) before it is sent: the native session would
 * abort its process. A call whose engine died rejects with ENGINE_CRASHED; models built before are then
 * gone, and `predict` on an unknown model rejects with MODEL_NOT_READY until it is built again.
 */
export interface Engine {
  info(): Promise<EngineInfo>
  /**
   * Ready and warm when it resolves. Building an id again replaces it. Predictions asked for meanwhile are computed
   * between its steps; builds at the same time take turns.
   */
  build(request: BuildRequest): Promise<BuildResult>
  predict(batch: Batch): Promise<BatchResult>
  unload(id: string): Promise<void>
  close(): Promise<void>
  /** Whether it answers now: it has computed something, is not being restarted, and the system has not stopped it. */
  readonly ready: boolean
  /** How often the engine died and came back. */
  readonly restarts: number
  /** The process that computes, where it is one of its own. */
  readonly pid: number | undefined
  /** How many batches it computes at the same time, each on a device of its own. */
  readonly lanes: number
}

/** Images that lie in the memory which both processes share. */
export interface Placed {
  readonly kind: ReturnType<typeof kindOf>
  readonly slot: number
  /** Bytes of each part, one after another: of every JPEG, of pixels or floats in all. */
  readonly lengths: readonly number[]
}

/** The part of the contract that is answered where the sessions are. A process computes one thing at a time. */
export interface EngineMethods extends Pick<Engine, 'unload'> {
  predict(batch: Omit<Batch, 'values'> & { readonly values: ImageValues | Placed }): Promise<BatchResult>
  /** Begins a build under a number of the caller's that was never used before. */
  begin(build: number, request: BuildRequest): Promise<void>
  /** Does one short step of it: undefined where more are left. ENGINE_CRASHED where the process never began it. */
  step(build: number): Promise<BuildResult | undefined>
}
