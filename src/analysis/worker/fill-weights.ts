import { open } from 'node:fs/promises'
import type { JobContext } from '../../common/cancellation.ts'
import { ServiceError } from '../../common/errors.ts'
import { isRefusedWrite, storageFailed } from '../../common/storage-errors.ts'
import { safetensorsHeader } from '../../formats/safetensors.ts'
import { writeAll } from '../../formats/write-all.ts'
import { sizeOf } from '../../initializers/fans.ts'
import type { WeightsSource } from '../../network/weights-source.ts'
import type { Sampler } from '../../tensorflow/sampler.ts'
import { withWeights } from '../../tensorflow/weight-sources.ts'

const FLOAT32_BYTES = 4

/** Draws tensors of a source without a weights file into a safetensors file of its parameters in creation order. */
export async function fillWeights(
  sampler: Sampler,
  source: WeightsSource,
  names: readonly string[],
  path: string,
  job: JobContext,
): Promise<void> {
  const drawn = new Set(names)
  await withWeights(sampler, source, job, async (tensors) => {
    const header = safetensorsHeader(tensors, {})
    const file = await open(path, 'r+')
    try {
      const found = Buffer.alloc(header.length)
      await file.read(found, 0, found.length, 0)
      if (!found.equals(header)) throw new ServiceError('INTERNAL', 'the file is not one of this network')
      let position = header.length
      for (const tensor of tensors) {
        let at = position
        position += FLOAT32_BYTES * sizeOf(tensor.shape)
        if (!drawn.has(tensor.name)) continue
        for await (const values of tensor.slices()) {
          await writeAll(file, values, at)
          at += values.byteLength
        }
      }
      await file.sync()
    } finally {
      await file.close()
    }
  }).catch((error: unknown) => {
    throw isRefusedWrite(error) ? storageFailed(error) : error
  })
}
