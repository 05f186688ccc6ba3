import { createHash } from 'node:crypto'
import { parentPort, workerData } from 'node:worker_threads'
import { compareTensors, openSafetensors } from '../../formats/safetensors.ts'
import { sizeOf } from '../../initializers/fans.ts'

/** What the thread is given. */
export interface DigestsRequest {
  readonly path: string
  /** In the order of the digests. */
  readonly tensors: readonly {
    readonly name: string
    readonly shape: readonly number[]
    readonly trainable: boolean
  }[]
}

/** What it answers. */
export interface WeightsDigests {
  /** Over all tensors. */
  readonly all: string
  /** Over the trainable ones. */
  readonly trainable: string
}

/** Values read at once: 4 MB. */
const AT_ONCE = 2 ** 20

/** Throws where the file does not hold these tensors. */
async function digestsOf({ path, tensors }: DigestsRequest): Promise<WeightsDigests> {
  const [all, trainable] = [createHash('sha256'), createHash('sha256')]
  const file = await openSafetensors(path)
  try {
    const [difference] = compareTensors(file, tensors)
    if (difference) throw new Error(`${difference.pointer} ${difference.detail}`)
    for (const tensor of tensors) {
      const size = sizeOf(tensor.shape)
      for (let offset = 0; offset < size; offset += AT_ONCE) {
        const values = await file.read(tensor.name, offset, Math.min(AT_ONCE, size - offset))
        all.update(values)
        if (tensor.trainable) trainable.update(values)
      }
    }
  } finally {
    await file.close()
  }
  return { all: all.digest('hex'), trainable: trainable.digest('hex') }
}

parentPort?.postMessage(await digestsOf(workerData as DigestsRequest))
