import { createHash } from 'node:crypto'
import { readFactors } from '../../analysis/contract.ts'
import { unitVariance } from '../../analysis/worker/lsuv.ts'
import type { JobContext } from '../../common/cancellation.ts'
import { processors, tensorflowEnvironment } from '../../common/platform.ts'
import { openSafetensors, type SafetensorsFile } from '../../formats/safetensors.ts'
import { sizeOf } from '../../initializers/fans.ts'
import { identify } from '../../network/identity.ts'
import type { Plan } from '../../network/plan.ts'
import { isMeasured } from '../../network/schemes.ts'
import type { WeightsSource } from '../../network/weights-source.ts'
import { openBackend, type Backend } from '../../tensorflow/binding.ts'
import { Sampler } from '../../tensorflow/sampler.ts'
import { withWeights, type WeightTensor } from '../../tensorflow/weight-sources.ts'
import { compareNames, TensorComparison } from './compare-weights.ts'
import type { ModelRecord } from './read-given.ts'
import { UsageError } from './usage-error.ts'

interface DrawnTensor {
  readonly name: string
  readonly size: number
  readonly trainable: boolean
  readonly digest: string
}

/** The network of a specification: its identity and its weights as digests. */
export interface Network {
  readonly id: string
  /** `weights_sha256`: SHA-256 over the trainable parameters in creation order. */
  readonly digest: string
  readonly tensors: readonly DrawnTensor[]
  /** The differences of the weights file, one line each. */
  readonly differences: readonly string[]
}

const JOB: JobContext = {
  signal: new AbortController().signal,
  progress: () => undefined,
  alive: () => undefined,
}

/**
 * Draws every parameter as the analysis process does and compares it with the weights file. A record of loaded weights
 * takes the parameters from the file instead. Throws UsageError without that file.
 */
export async function drawNetwork(
  plan: Plan,
  records: readonly ModelRecord[],
  weightsFile: string | undefined,
): Promise<Network> {
  // The CPU even if there is a GPU: weights are defined by the bits that the CPU draws.
  Object.assign(process.env, { CUDA_VISIBLE_DEVICES: '' }, tensorflowEnvironment(processors()))
  const backend = await openBackend()
  const loaded = records.some((record) => record.loaded)
  if (loaded && weightsFile === undefined) {
    throw new UsageError(
      'the weights of this model were loaded from a file, so its specification does not give them; save its record and its weights (/weights), and verify the record with --weights',
    )
  }
  const file = weightsFile === undefined ? undefined : await openWeights(weightsFile)
  try {
    const { specification } = plan
    if (loaded && weightsFile !== undefined)
      return await measure(backend, plan, { specification, weightsFile }, file, loaded)
    const factors = await findFactors(backend, plan, records)
    return await measure(backend, plan, { specification, ...factors }, file, loaded)
  } finally {
    await file?.close()
  }
}

async function measure(
  backend: Backend,
  plan: Plan,
  source: WeightsSource & { readonly identified?: WeightsSource['factors'] },
  file: SafetensorsFile | undefined,
  loaded: boolean,
): Promise<Network> {
  const differences = file === undefined ? [] : compareNames(file, plan.parameters)
  if (loaded && differences.length > 0) throw new UsageError(differences.join('\n'))
  const [all, trainable] = [createHash('sha256'), createHash('sha256')]
  const readTensor = async (tensor: WeightTensor): Promise<DrawnTensor> => {
    const hash = createHash('sha256')
    const comparison = loaded || file === undefined ? undefined : TensorComparison.open(file, tensor)
    for await (const values of tensor.slices()) {
      for (const each of tensor.trainable ? [hash, all, trainable] : [hash, all]) each.update(values)
      await comparison?.add(values)
    }
    differences.push(...(comparison?.describe() ?? []))
    const { name, shape } = tensor
    return { name, size: sizeOf(shape), trainable: tensor.trainable, digest: hash.digest('hex') }
  }
  const sampler = await Sampler.open(backend)
  const tensors = await withWeights(sampler, source, JOB, async (opened) => {
    const read: DrawnTensor[] = []
    for (const tensor of opened) read.push(await readTensor(tensor))
    return read
  })
  const id = loaded ? identify(plan, all.digest('hex')) : identify(plan, undefined, source.identified)
  return { id, digest: trainable.digest('hex'), tensors, differences }
}

/**
 * The factors of LSUV: measured here on Gaussian images, unless a record's id contains factors that were measured on a
 * client's images.
 */
async function findFactors(
  backend: Backend,
  plan: Plan,
  records: readonly ModelRecord[],
): Promise<{ factors?: Readonly<Record<string, number>>; identified?: Readonly<Record<string, number>> }> {
  const { specification } = plan
  if (!isMeasured(specification)) return {}
  for (const { id, factors } of records) {
    if (factors !== undefined && id === identify(plan, undefined, factors))
      return { factors, identified: factors }
  }
  return { factors: readFactors(await unitVariance(backend, specification)) }
}

async function openWeights(path: string): Promise<SafetensorsFile> {
  try {
    return await openSafetensors(path)
  } catch (error) {
    throw new UsageError(
      `${path} cannot be compared (${(error as Error).message}); give a safetensors file that /weights of a model returns`,
    )
  }
}
