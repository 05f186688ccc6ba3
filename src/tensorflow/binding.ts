import util from 'node:util'
import type * as TensorFlow from '@tensorflow/tfjs-node-gpu'

/** The functions of tfjs-node's native binding that this service uses. */
export interface Binding {
  readonly TF_FLOAT: number
  readonly TF_INT32: number
  readonly TF_UINT8: number
  readonly TF_STRING: number
  readonly TF_Version: string
  createTensor(
    shape: number[],
    dtype: number,
    values: Uint8Array | Int32Array | Float32Array | readonly Uint8Array[],
  ): number
  deleteTensor(id: number): void
  tensorDataSync(id: number): Uint8Array | Float32Array | Int32Array
  loadSavedModel(folder: string, tags: string): number
  deleteSavedModel(session: number): void
  runSavedModel(session: number, inputs: number[], inputNames: string, outputNames: string): { id: number }[]
}

export interface Backend {
  /** For eager execution, which only the analysis process uses. */
  readonly tf: typeof TensorFlow
  readonly binding: Binding
  readonly device: 'GPU' | 'CPU'
  readonly libraryVersion: string
}

/** Loads libtensorflow through tfjs-node-gpu, once per process. Takes almost a second and about 370 MB. */
export async function openBackend(): Promise<Backend> {
  // tfjs-node 4.22 calls this function, which Node 23 removed.
  const legacy = util as { isNullOrUndefined?: (value: unknown) => boolean }
  legacy.isNullOrUndefined ??= (value) => value === null || value === undefined
  const tf = await import('@tensorflow/tfjs-node-gpu')
  const { binding, isUsingGpuDevice } = tf.backend() as unknown as {
    binding: Binding
    isUsingGpuDevice: boolean
  }
  return { tf, binding, device: isUsingGpuDevice ? 'GPU' : 'CPU', libraryVersion: binding.TF_Version }
}
