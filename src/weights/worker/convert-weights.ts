import { open } from 'node:fs/promises'
import { withCheckpoints, type JobContext } from '../../common/cancellation.ts'
import { storageFailed } from '../../common/storage-errors.ts'
import { safetensorsHeader } from '../../formats/safetensors.ts'
import { countValues } from '../../formats/shape.ts'
import { inOrder, placeTransposed } from '../../formats/transpose.ts'
import type { WeightsFile } from '../../formats/weights-file.ts'
import { writeAll } from '../../formats/write-all.ts'
import type { ConvertedTensor } from '../reader-contract.ts'

/** Values per read: 16 MB. */
const CHUNK = 2 ** 22
/** Values of a transposed tensor in memory: 128 MB. A larger tensor is read once for each block. */
const BLOCK = 2 ** 25
const FLOAT32_BYTES = 4

type Job = Pick<JobContext, 'signal' | 'alive'>

export interface BlockSizes {
  readonly chunk: number
  readonly block: number
}

/**
 * Writes a safetensors file of float32 tensors, in this order and with these names and axes, to a new file. Tensors
 * without a source are holes of zeros.
 */
export async function convertWeights(
  file: WeightsFile,
  tensors: readonly ConvertedTensor[],
  target: string,
  job: Job,
  sizes: BlockSizes = { chunk: CHUNK, block: BLOCK },
): Promise<void> {
  const output = await written(() => open(target, 'wx'))
  try {
    const header = safetensorsHeader(tensors, {})
    await written(() => writeAll(output, header, 0))
    let position = header.length
    for (const tensor of tensors) {
      let at = position
      for await (const values of readTensor(file, tensor, sizes, job)) {
        const start = at
        await written(() => writeAll(output, values, start))
        at += values.byteLength
      }
      position += FLOAT32_BYTES * countValues(tensor.shape)
    }
    // The last tensors may be zeros.
    await written(async () => {
      await output.truncate(position)
      await output.sync()
    })
  } finally {
    await output.close()
  }
}

/** Yields the values of a tensor in order. */
async function* readTensor(
  file: WeightsFile,
  { shape, source }: ConvertedTensor,
  { chunk, block }: BlockSizes,
  job: Job,
): AsyncGenerator<Float32Array> {
  if (source === undefined) return
  const { name, axes } = source
  const size = countValues(shape)
  const read = (): AsyncIterable<Float32Array> => withCheckpoints(readChunks(file, name, size, chunk), job)
  if (inOrder(axes)) {
    yield* read()
    return
  }
  const sourceShape = axes.map((axis) => shape[axis] ?? 1)
  for (let start = 0; start < size; start += block) {
    const part = { values: new Float32Array(Math.min(block, size - start)), start }
    let offset = 0
    for await (const values of read()) {
      placeTransposed({ values, start: offset }, sourceShape, axes, part)
      offset += values.length
    }
    yield part.values
  }
}

async function* readChunks(
  file: WeightsFile,
  name: string,
  size: number,
  chunk: number,
): AsyncGenerator<Float32Array> {
  for (let offset = 0; offset < size; offset += chunk)
    yield await file.read(name, offset, Math.min(chunk, size - offset))
}

async function written<R>(write: () => Promise<R>): Promise<R> {
  try {
    return await write()
  } catch (error) {
    throw storageFailed(error)
  }
}
