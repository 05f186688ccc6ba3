import { inOrder, transposed } from '../../formats/transpose.ts'
import { sizeOf } from '../../initializers/fans.ts'

/** The number of values per read: 16 MB. */
const CHUNK = 2 ** 22
const FLOAT32_BYTES = 4
const COUNT_BYTES = 8

/** A tensor that is written to a file. */
export interface StreamedTensor {
  /** The name to read it by. Without a name the tensor is an int64 zero. */
  readonly source?: string
  /** The shape of the source. */
  readonly shape: readonly number[]
  /** Axis i of the output is axis axes[i] of the source. */
  readonly axes: readonly number[]
}

export interface Range {
  readonly start: number
  /** One past the last byte. */
  readonly end: number
}

export function streamedBytes({ source, shape }: StreamedTensor): number {
  return source === undefined ? COUNT_BYTES : FLOAT32_BYTES * sizeOf(shape)
}

/**
 * Streams the tensors' bytes from start to end, read on demand: in chunks, or whole tensors if their axes change. Uses
 * memory for at most one tensor.
 */
export async function* tensorStream(
  tensors: readonly StreamedTensor[],
  read: (source: string, offset: number, count: number) => Promise<Float32Array>,
  { start, end }: Range = { start: 0, end: Infinity },
): AsyncGenerator<Buffer> {
  let position = 0
  for (const tensor of tensors) {
    const { source, shape, axes } = tensor
    const size = streamedBytes(tensor)
    const step = inOrder(axes) ? CHUNK * FLOAT32_BYTES : size
    for (let offset = 0; offset < size; offset += step) {
      const length = Math.min(step, size - offset)
      const [from, to] = [Math.max(0, start - position), Math.min(length, end - position)]
      position += length
      if (from >= to) continue
      if (source === undefined) {
        yield Buffer.alloc(length).subarray(from, to)
        continue
      }
      const values = await read(source, offset / FLOAT32_BYTES, length / FLOAT32_BYTES)
      const { buffer, byteOffset, byteLength } = transposed(values, shape, axes)
      yield Buffer.from(buffer, byteOffset, byteLength).subarray(from, to)
    }
  }
}
