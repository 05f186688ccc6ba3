import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { betweenSteps, type Job } from '../control.ts'
import type { Backend } from '../engine/tensorflow/binding.ts'
import { CHECKPOINTING, checkpointingGraph, exportedModel } from '../engine/tensorflow/exported.ts'
import { Session } from '../engine/tensorflow/session.ts'
import { sizeOf } from '../initializers/fans.ts'
import { planSpecification } from '../network/plan.ts'
import type { SavedModel, WeightsSource } from './analysis.ts'
import { SLICE, type Sampler } from './sampler.ts'
import { withWeights, type WeightTensor } from './weights.ts'

/** A model for any TensorFlow; the checkpoint of loaded weights lies in a folder that is the caller's to remove. */
export async function savedModel(
  backend: Backend,
  sampler: Sampler,
  source: WeightsSource,
  job: Job,
): Promise<SavedModel> {
  const { specification, weightsFile, factors = {} } = source
  const plan = planSpecification(specification, { factors })
  if (weightsFile === undefined) return { graph: exportedModel(plan, 'drawn'), checkpoint: null }
  const folder = await mkdtemp(join(tmpdir(), 'resinit-checkpoint-'))
  try {
    await withWeights(sampler, source, job, (tensors) => writeCheckpoint(backend, tensors, folder, job))
    return { graph: exportedModel(plan, 'checkpoint'), checkpoint: folder }
  } catch (error) {
    await rm(folder, { recursive: true })
    throw error
  }
}

/** `variables.index` and `variables.data-...` in the folder, written by TensorFlow; never more than a part in memory. */
async function writeCheckpoint(
  backend: Backend,
  tensors: readonly WeightTensor[],
  folder: string,
  job: Job,
): Promise<void> {
  const session = await Session.open(backend, checkpointingGraph())
  try {
    const parts: Uint8Array[] = []
    await mkdir(join(folder, 'parts'))
    for (const tensor of tensors) {
      for (const { slice, shape, offset } of partsOf(tensor.shape)) {
        await betweenSteps(job)
        const path = bytesOf(join(folder, 'parts', String(parts.length)))
        const values = await tensor.read(offset, sizeOf(shape))
        run(session, CHECKPOINTING.saved, {
          [CHECKPOINTING.path]: { values: [path], shape: [] },
          [CHECKPOINTING.name]: { values: [bytesOf(tensor.name)], shape: [1] },
          [CHECKPOINTING.slice]: { values: [bytesOf(slice)], shape: [1] },
          [CHECKPOINTING.value]: { values, shape },
        })
        parts.push(path)
      }
    }
    run(session, CHECKPOINTING.merged, {
      [CHECKPOINTING.parts]: { values: parts, shape: [parts.length] },
      [CHECKPOINTING.whole]: { values: [bytesOf(join(folder, 'variables'))], shape: [] },
    })
    await rm(join(folder, 'parts'), { recursive: true, force: true })
  } finally {
    session.close()
  }
}

/** Whole rows of a tensor, few enough to be held; `slice` says to TensorFlow which (`shape` and `start,length` by axis). */
function* partsOf(shape: readonly number[]) {
  const [rows = 1, ...row] = shape
  const width = sizeOf(row)
  // Reads begin at multiples of four values.
  const height = Math.max(4, Math.floor(SLICE / width / 4) * 4)
  if (rows <= height) {
    yield { slice: '', shape, offset: 0 }
    return
  }
  for (let start = 0; start < rows; start += height) {
    const count = Math.min(height, rows - start)
    const axes = [`${String(start)},${String(count)}`, ...row.map(() => '-')].join(':')
    yield { slice: `${shape.join(' ')} ${axes}`, shape: [count, ...row], offset: start * width }
  }
}

/** For what it does; what it gives is not read. */
function run(session: Session, fetch: string, feeds: Parameters<Session['hold']>[0]): void {
  for (const held of session.hold(feeds, [fetch])) held.close()
}

function bytesOf(text: string): Uint8Array {
  return Buffer.from(text)
}
