import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { checkpoint, type JobContext } from '../../common/cancellation.ts'
import type { Backend } from '../../tensorflow/binding.ts'
import { CHECKPOINTING, checkpointingGraph, exportedModel } from '../../tensorflow/exported-model.ts'
import { Session, type Feed } from '../../tensorflow/session.ts'
import { sizeOf } from '../../initializers/fans.ts'
import { planSpecification } from '../../network/plan.ts'
import { isRefusedWrite, storageFailed } from '../../common/storage-errors.ts'
import type { WeightsSource } from '../../network/weights-source.ts'
import { SLICE, type Sampler } from '../../tensorflow/sampler.ts'
import { withWeights, type WeightTensor } from '../../tensorflow/weight-sources.ts'

/** Exports a model for any TensorFlow. For loaded weights the checkpoint is written to the directory. */
export async function exportSavedModel(
  backend: Backend,
  sampler: Sampler,
  source: WeightsSource,
  folder: string,
  job: JobContext,
): Promise<Uint8Array> {
  const { specification, weightsFile, factors = {} } = source
  const plan = planSpecification(specification, { factors })
  if (weightsFile === undefined) return exportedModel(plan, 'drawn')
  try {
    // A crashed process may have left files. The directory itself is never created: it is removed when the request
    // ends.
    for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true })
    await withWeights(sampler, source, job, (tensors) => writeCheckpoint(backend, tensors, folder, job))
  } catch (error) {
    throw isRefusedWrite(error) ? storageFailed(error) : error
  }
  return exportedModel(plan, 'checkpoint')
}

/**
 * Makes TensorFlow write `variables.index` and `variables.data-...` to the directory, with at most one shard in
 * memory.
 */
async function writeCheckpoint(
  backend: Backend,
  tensors: readonly WeightTensor[],
  folder: string,
  job: JobContext,
): Promise<void> {
  const shards = planShards(tensors)
  const session = await Session.open(backend, checkpointingGraph(shards.map(({ length }) => length)))
  const partsFolder = join(folder, 'parts')
  // TensorFlow creates the directory that it merges into, even after the request's directory was removed. Therefore
  // it merges into a subdirectory, and the files are then moved.
  const mergedFolder = join(folder, 'merged')
  try {
    await mkdir(partsFolder)
    await mkdir(mergedFolder)
    const parts: Uint8Array[] = []
    for (const shard of shards) {
      await checkpoint(job)
      const path = encodeText(join(partsFolder, String(parts.length)))
      const texts = (read: (part: Part) => string): Feed => ({
        values: shard.map((part) => encodeText(read(part))),
        shape: [shard.length],
      })
      const feeds: Record<string, Feed> = {
        [CHECKPOINTING.path]: { values: [path], shape: [] },
        [CHECKPOINTING.names]: texts(({ tensor }) => tensor.name),
        [CHECKPOINTING.slices]: texts(({ slice }) => slice),
      }
      for (const [index, { tensor, shape, offset }] of shard.entries())
        feeds[CHECKPOINTING.value(index)] = { values: await tensor.read(offset, sizeOf(shape)), shape }
      run(session, CHECKPOINTING.saved(shard.length), feeds)
      parts.push(path)
    }
    run(session, CHECKPOINTING.merged, {
      [CHECKPOINTING.parts]: { values: parts, shape: [parts.length] },
      [CHECKPOINTING.whole]: { values: [encodeText(join(mergedFolder, 'variables'))], shape: [] },
    })
    for (const name of await readdir(mergedFolder)) await rename(join(mergedFolder, name), join(folder, name))
    for (const emptied of [partsFolder, mergedFolder]) await rm(emptied, { recursive: true, force: true })
  } finally {
    session.close()
  }
}

/**
 * Whole rows of a tensor. `slice` is TensorFlow's notation for them (`shape` and `start,length` by axis); an empty
 * one means all.
 */
interface Part {
  readonly tensor: WeightTensor
  readonly slice: string
  readonly shape: readonly number[]
  readonly offset: number
}

/** All tensors in order, in shards that fit in memory. */
function planShards(tensors: readonly WeightTensor[]): Part[][] {
  const shards: Part[][] = []
  let room = 0
  for (const part of tensors.flatMap((tensor) => [...listParts(tensor)])) {
    const size = sizeOf(part.shape)
    const last = shards.at(-1)
    if (last === undefined || size > room) {
      shards.push([part])
      room = SLICE - size
    } else {
      last.push(part)
      room -= size
    }
  }
  return shards
}

function* listParts(tensor: WeightTensor): Generator<Part> {
  const { shape } = tensor
  const [rows = 1, ...row] = shape
  const width = sizeOf(row)
  // Reads must start at multiples of four values.
  const height = Math.max(4, Math.floor(SLICE / width / 4) * 4)
  if (rows <= height) {
    yield { tensor, slice: '', shape, offset: 0 }
    return
  }
  for (let start = 0; start < rows; start += height) {
    const count = Math.min(height, rows - start)
    const axes = [`${String(start)},${String(count)}`, ...row.map(() => '-')].join(':')
    yield { tensor, slice: `${shape.join(' ')} ${axes}`, shape: [count, ...row], offset: start * width }
  }
}

/** Runs an operation for its side effect and discards the result. */
function run(session: Session, fetch: string, feeds: Parameters<Session['runToHandles']>[0]): void {
  for (const handle of session.runToHandles(feeds, [fetch])) handle.close()
}

function encodeText(text: string): Uint8Array {
  return Buffer.from(text)
}
