import type { WeightsSource } from '../network/weights-source.ts'

export interface EngineInfo {
  readonly backend: 'tensorflow'
  readonly device: 'CPU' | 'GPU'
  readonly library_version: string
  /** True if the device multiplies bfloat16 natively. Otherwise it is emulated in float32, without a gain in speed. */
  readonly multiplies_bfloat16: boolean
}

/** A model to build, under the key that the caller chose. */
export interface BuildRequest extends WeightsSource {
  readonly id: string
}

export interface BuildResult {
  /** SHA-256 over the session's variables, with norms folded. */
  readonly seal: string
  readonly artifactBytes: number
}

/**
 * Concatenated images of a model's input shape: uint8 pixels, or float32 that is not preprocessed; or JPEGs with three
 * channels whose headers state that size.
 */
export type ImageValues = Uint8Array | Float32Array | readonly Uint8Array[]

/** The kind of a batch's images. A Buffer is a Uint8Array. */
export function kindOf(values: ImageValues): 'pixels' | 'floats' | 'jpegs' {
  if (values instanceof Uint8Array) return 'pixels'
  return values instanceof Float32Array ? 'floats' : 'jpegs'
}

/** Long rows that few requests need. They are transferred only if requested. */
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

/** Results by row, flat: the top classes [count, k]; optional outputs [count, size] if requested. */
export interface BatchResult {
  readonly topClasses: Int32Array
  readonly topLogits: Float32Array
  readonly topProbabilities: Float32Array
  readonly entropy: Float32Array
  /** 1 if all logits of a row are finite and its activations cannot have overflowed, else 0. */
  readonly finite: Int32Array
  readonly vectors: Readonly<Partial<Record<OptionalOutput, Float32Array>>>
  /** Indices of JPEGs that cannot be decoded. Their rows are meaningless; other rows are not affected. */
  readonly undecoded: readonly number[]
  /** Time for decoding and, on the CPU, preprocessing. */
  readonly decodeMs: number
  readonly computeMs: number
}

/** A requested output of a result. */
export function outputOf({ vectors }: Pick<BatchResult, 'vectors'>, vector: OptionalOutput): Float32Array {
  const values = vectors[vector]
  if (values === undefined) throw new TypeError(`${vector} was not requested`)
  return values
}

/**
 * Builds and runs networks. The creator closes it.
 *
 * Every call rejects with ENGINE_CRASHED if its engine process crashes or hangs. All models of that process are then
 * lost until they are built again.
 */
export interface Engine {
  /** Describes the backend. Waits for the start of the process. */
  info(): Promise<EngineInfo>
  /**
   * Builds a model and resolves when it is warm. The engine owns the model until `unload`; an existing model with this
   * id is replaced. Predictions run between the steps of a build, and concurrent builds alternate. A failed build
   * leaves nothing behind and rejects with the error of its step: INVALID_WEIGHTS or a file error for `weightsFile`,
   * WEIGHTS_DIVERGED if two devices compute different variables.
   */
  build(request: BuildRequest): Promise<BuildResult>
  /**
   * Runs a batch. The caller keeps the images and owns the result. Rejects with MODEL_NOT_READY if the engine does not
   * have the model, and with INVALID_REQUEST if the batch does not match it: such a batch is never sent, because the
   * native session would abort its process.
   */
  predict(batch: Batch): Promise<BatchResult>
  /** Releases a model. Resolves if the engine does not have it. */
  unload(id: string): Promise<void>
  /** Ends the processes and releases all models. Calls in progress reject. */
  close(): Promise<void>
  /** True if a process has started, is not being restarted, and is not stopped by the system. */
  readonly ready: boolean
  /** Number of restarts after crashes. */
  readonly restarts: number
  /** PID of the computing process; undefined for several devices. */
  readonly pid: number | undefined
  /** Number of batches that are computed at the same time, one per device. */
  readonly concurrency: number
}

/** Images in the memory that both processes share. */
export interface ShmSlot {
  readonly kind: ReturnType<typeof kindOf>
  readonly slot: number
  /** Bytes of each part in order: of every JPEG, or of all pixels or floats. */
  readonly lengths: readonly number[]
}

/** The calls of the engine process, which runs one at a time. */
export interface EngineMethods extends Pick<Engine, 'unload'> {
  /**
   * Runs a batch that matches its model. Images in a slot belong to the caller, which frees the slot after the call.
   * Rejects with MODEL_NOT_READY if the process does not have the model.
   */
  predict(batch: Omit<Batch, 'values'> & { readonly values: ImageValues | ShmSlot }): Promise<BatchResult>
  /** Begins a build under a new number. The process owns the unfinished build until its last or a failed step. */
  begin(build: number, request: BuildRequest): Promise<void>
  /**
   * Runs one short step of a build. Undefined if steps remain; the result of the last step makes the model available.
   * A failed step discards the build. Rejects with ENGINE_CRASHED if the build began in an earlier process.
   */
  step(build: number): Promise<BuildResult | undefined>
}
