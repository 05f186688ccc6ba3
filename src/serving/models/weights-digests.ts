import { createHash } from 'node:crypto'
import { parentPort, workerData } from 'node:worker_threads'
import { compareTensors, openSafetensors } from '../../formats/safetensors.ts'
import { sizeOf } from '../../initializers/fans.ts'

/** The input of the thread. */
export interface DigestsRequest {
  readonly path: string
  /** In the order in which they are hashed. */
  readonly tensors: readonly {
    readonly name: string
    readonly shape: readonly number[]
    readonly trainable: boolean
  }[]
}

/** The output of the thread. */
export interface WeightsDigests {
  /** The digest of all tensors. */
  readonly all: string
  /** The digest of the trainable tensors. */
  readonly trainable: string
}

/** The number of values per read: 4 MB. */
const CHUNK = 2 ** 20

/** Throws if the file does not have exactly these tensors. */
async function computeDigests({ path, tensors }: DigestsRequest): Promise<WeightsDigests> {
  const [all, trainable] = [createHash('sha256'), createHash('sha256')]
  const file = await openSafetensors(path)
  try {
    const [difference] = compareTensors(file, tensors)
    if (difference) throw new Error(`${difference.pointer} ${difference.detail}`)
    for (const tensor of tensors) {
      const size = sizeOf(tensor.shape)
      for (let offset = 0; offset < size; offset += CHUNK) {
        const values = await file.read(tensor.name, offset, Math.min(CHUNK, size - offset))
        all.update(values)
        if (tensor.trainable) trainable.update(values)
      }
    }
  } finally {
    await file.close()
  }
  return { all: all.digest('hex'), trainable: trainable.digest('hex') }
}

parentPort?.postMessage(await computeDigests(workerData as DigestsRequest))
