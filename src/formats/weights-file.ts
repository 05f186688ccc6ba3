/** The formats of weights files, as the record of a loaded model names them. */
export const weightsFormats = ['safetensors', 'pytorch', 'keras_h5', 'keras', 'tfjs'] as const
export type WeightsFormat = (typeof weightsFormats)[number]

/** A tensor in a file. The name is the file's, without changes. */
export interface TensorInfo {
  readonly name: string
  /** A name of `dtypes.ts`. */
  readonly dtype: string
  readonly shape: readonly number[]
}

/** One file of an upload or a directory, on disk. Its content is untrusted. */
export interface WeightsPart {
  /** The name that the client gave, for example the name of a shard in an index. */
  readonly name: string
  readonly path: string
}

/**
 * Opened weights of any format. Opening reads only the description; tensors are read in parts, so that no file is in
 * memory as a whole. All functions throw INVALID_WEIGHTS at `#/weights` if the file is damaged or not supported. The
 * opener closes it.
 */
export interface WeightsFile {
  readonly format: WeightsFormat
  /** By name, in the order of the file. */
  readonly tensors: ReadonlyMap<string, TensorInfo>
  /** The text entries of a safetensors header; empty for other formats. */
  readonly metadata: Readonly<Record<string, string>>
  /**
   * Reads `count` values of a tensor in row-major order from `offset` as float32, rounded if they have more digits; by
   * default all from `offset`.
   */
  read(name: string, offset?: number, count?: number): Promise<Float32Array>
  close(): Promise<void>
}
