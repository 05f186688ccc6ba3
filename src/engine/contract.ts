import type { WeightsSource } from '../network/weights-source.ts'

export interface EngineInfo {
  readonly backend: 'tensorflow'
  readonly device: 'CPU' | 'GPU'
  readonly library_version: string
  /**
   * True if the device multiplies bfloat16 natively; otherwise it is emulated through float32 and gains
   * nothing.
   */
  readonly multiplies_bfloat16: boolean
}

/** A model to build, under the key that the caller chose. */
export interface BuildRequest extends WeightsSource {
  readonly id: string
}

export interface BuildResult {
  /** SHA-256 over the variables as the session holds them, with norms folded. */
  readonly seal: string
  readonly artifactBytes: number
}

/**
 * Whole images of a model's input shape in a row: uint8 pixels, float32 that enters without preprocessing, or
 * encoded three-colour JPEGs whose headers have that size.
 */
export type ImageValues = Uint8Array | Float32Array | readonly Uint8Array[]

/** The kind of values; a batch has images of one kind. A Buffer counts as a Uint8Array. */
export function kindOf(values: ImageValues): 'pixels' | 'floats' | 'jpegs' {
  if (values instanceof Uint8Array) return 'pixels'
  return values instanceof Float32Array ? 'floats' : 'jpegs'
}

/** Long rows that few requests need. They stay in the engine unless requested. */
export const OPTIONAL_OUTPUTS = ['logits', 'probabilities', 'features'] as const
export type OptionalOutput = (typeof OPTIONAL_OUTPUTS)[number]

/** Images of one model and one kind, concatenated. */
export interface Batch {
  readonly id: string
  readonly count: number
  readonly values: ImageValues
  /** The number of top classes to return. */
  readonly k: number
  readonly vectors: readonly OptionalOutput[]
}

/** Results by row, flat: top [count, k]; logits and probabilities [count, classes] if requested. */
export interface BatchResult {
  readonly topClasses: Int32Array
  readonly topLogits: Float32Array
  readonly topProbabilities: Float32Array
  readonly entropy: Float32Array
  /** Whether all of a row's logits are finite: 1 or 0. */
  readonly finite: Int32Array
  readonly vectors: Readonly<Partial<Record<OptionalOutput, Float32Array>>>
  /** JPEGs that the engine cannot decode, by their index: their rows mean nothing. The others are not disturbed. */
  readonly undecoded: readonly number[]
  /** Until images were as the network takes them: decoded and, on the CPU, preprocessed. */
  readonly decodeMs: number
  readonly computeMs: number
}

/** A requested output. */
export function outputOf({ vectors }: Pick<BatchResult, 'vectors'>, vector: OptionalOutput): Float32Array {
  const values = vectors[vector]
  if (values === undefined) throw new TypeError(`nobody asked for ${vector}`)
  return values
}

/**
 * Builds and runs networks. The creator closes it.
 *
 * `predict` rejects a batch that does not match its model (INVALID_REQUEST) before sending it, because the
 * native session would abort its process. A call rejects with ENGINE_CRASHED if its engine process died. The
 * models of that process are then gone, and `predict` rejects with MODEL_NOT_READY until they are built
 * again.
 */
export interface Engine {
  info(): Promise<EngineInfo>
  /**
   * Resolves when the model is ready and warm. Building an existing id replaces it. Predictions run between
   * the steps of a build; concurrent builds alternate.
   */
  build(request: BuildRequest): Promise<BuildResult>
  predict(batch: Batch): Promise<BatchResult>
  unload(id: string): Promise<void>
  close(): Promise<void>
  /** Whether it answers now: it has computed something, is not being restarted, and the system has not stopped it. */
  readonly ready: boolean
  /** How often the engine died and was restarted. */
  readonly restarts: number
  /** The PID of the process that computes, if it is a separate one. */
  readonly pid: number | undefined
  /** The number of batches that it computes at the same time, each on its own device. */
  readonly concurrency: number
}

/** Images in the memory that both processes share. */
export interface ShmSlot {
  readonly kind: ReturnType<typeof kindOf>
  readonly slot: number
  /** Bytes of each part in order: of every JPEG, or of all pixels or floats. */
  readonly lengths: readonly number[]
}

/** The calls that the engine process answers. It computes one at a time. */
export interface EngineMethods extends Pick<Engine, 'unload'> {
  predict(batch: Omit<Batch, 'values'> & { readonly values: ImageValues | ShmSlot }): Promise<BatchResult>
  /** Begins a build under a number that the caller never used before. */
  begin(build: number, request: BuildRequest): Promise<void>
  /**
   * Runs one short step of a build. Undefined if steps remain. ENGINE_CRASHED if this process never began it.
   */
  step(build: number): Promise<BuildResult | undefined>
}
