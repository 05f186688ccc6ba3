import { inOrder, transposed } from '../../formats/transpose.ts'
import { sizeOf } from '../../initializers/fans.ts'

/** Values read at once: 16 MB. */
const CHUNK = 2 ** 22
const FLOAT32_BYTES = 4
const COUNT_BYTES = 8

/** A tensor on its way into a file. */
export interface StreamedTensor {
  /** What it is read by. Without it the tensor is an int64 zero. */
  readonly source?: string
  /** As it is read: the source's shape. */
  readonly shape: readonly number[]
  /** Axis i of what is written is axis axes[i] of what is read. */
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
 * The tensors' bytes from start to end, read as they are wanted: by chunks, or whole where axes change, so that memory
 * is that of one tensor at most.
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
