import type { CallOptions } from '../common/cancellation.ts'
import type { TensorInfo, WeightsFormat, WeightsPart } from '../formats/weights-file.ts'

/** The description of a weights file of any format. */
export interface WeightsDescription {
  readonly format: WeightsFormat
  /** In the order of the file. */
  readonly tensors: readonly TensorInfo[]
  /** The text entries of a safetensors header; empty for other formats. */
  readonly metadata: Readonly<Record<string, string>>
}

/** A float32 tensor of a converted file. */
export interface ConvertedTensor {
  readonly name: string
  readonly shape: readonly number[]
  /** Axis i of the source is axis axes[i] of this tensor. A tensor without a source is zeros. */
  readonly source: { readonly name: string; readonly axes: readonly number[] } | undefined
}

/**
 * The methods of the process that reads untrusted weights files. Both reject with INVALID_WEIGHTS if the file is damaged
 * or not supported.
 */
export interface WeightsReaderMethods {
  describe(parts: readonly WeightsPart[]): Promise<WeightsDescription>
  /**
   * Writes a safetensors file of these tensors in this order to `target`, which must not exist. Uses bounded memory.
   * Rejects with STORAGE_FAILED if the file cannot be written; the caller removes it.
   */
  convert(parts: readonly WeightsPart[], tensors: readonly ConvertedTensor[], target: string): Promise<void>
}

type Control = Pick<CallOptions, 'signal'>

/**
 * Reads untrusted weights files in a separate process, one call at a time. Rejects with INVALID_WEIGHTS if a file
 * crashes or hangs the process, and with the signal's reason as soon as the signal aborts. The creator closes it.
 */
export interface WeightsReader {
  describe(parts: readonly WeightsPart[], control?: Control): Promise<WeightsDescription>
  convert(
    parts: readonly WeightsPart[],
    tensors: readonly ConvertedTensor[],
    target: string,
    control?: Control,
  ): Promise<void>
  close(): Promise<void>
}
