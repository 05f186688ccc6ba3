import { withCheckpoints, type JobContext } from '../common/cancellation.ts'
import type { TensorHandle } from './session.ts'
import { openSafetensors, type SafetensorsFile } from '../formats/safetensors.ts'
import { sizeOf } from '../initializers/fans.ts'
import type { Initializer } from '../initializers/initializer.ts'
import { isElementwise, type Law } from '../initializers/law.ts'
import type { SeedVector } from '../initializers/seeds.ts'
import {
  INITIAL_MOMENTS,
  isBuffer,
  recordedInitializer,
  type InitializedParameter,
} from '../network/parameters.ts'
import { planSpecification } from '../network/plan.ts'
import type { Parameter } from '../network/shapes.ts'
import type { TensorSource } from '../statistics/record.ts'
import type { WeightsSource } from '../network/weights-source.ts'
import { isDivisible, SLICE, type Sampler } from './sampler.ts'

/** A stored tensor of a network, for measurements and for access to its values. */
export interface WeightTensor extends TensorSource {
  readonly name: string
  /** Null without an initializer. */
  readonly initializer: Initializer | null
  readonly trainable: boolean
  /** The residual scheme's factor on the initializer. */
  readonly factor?: number | undefined
  /**
   * True if the cost of reading a part is proportional to its size. Other tensors are drawn as a whole for each
   * part.
   */
  readonly divisible: boolean
  /** Reads `count` values from `offset`, which must be a multiple of 4. */
  read(offset: number, count: number): Promise<Float32Array>
  /** Draws all values in the library, if they are independent. The caller closes the handle. */
  readonly hold?: (() => TensorHandle) | undefined
}

/**
 * Opens a network's stored tensors in creation order while `use` runs. Their slices throw when the job is aborted.
 */
export async function withWeights<R>(
  sampler: Sampler,
  source: WeightsSource,
  job: JobContext,
  use: (tensors: readonly WeightTensor[]) => Promise<R>,
): Promise<R> {
  const { tensors, close } = await openWeights(sampler, source)
  try {
    return await use(tensors.map((tensor) => withJobCheckpoints(tensor, job)))
  } finally {
    await close()
  }
}

interface OpenWeights {
  /** In creation order. */
  readonly tensors: readonly WeightTensor[]
  readonly close: () => Promise<void>
}

/** Opens a network's stored tensors. The caller closes them. */
export async function openWeights(
  sampler: Sampler,
  { specification, weightsFile, factors = {} }: WeightsSource,
): Promise<OpenWeights> {
  const plan = planSpecification(specification, { factors })
  if (weightsFile === undefined) {
    const initialized = new Map(plan.initialized.map((parameter) => [parameter.name, parameter]))
    const tensors = plan.parameters.map((parameter) =>
      drawnTensor(sampler, parameter, initialized.get(parameter.name)),
    )
    return { tensors, close: () => Promise.resolve() }
  }
  const file = await openSafetensors(weightsFile)
  const tensors = plan.parameters.map((parameter) => storedTensor(file, parameter))
  return { tensors, close: () => file.close() }
}

function withJobCheckpoints(tensor: WeightTensor, job: JobContext): WeightTensor {
  return { ...tensor, slices: () => withCheckpoints(tensor.slices(), job) }
}

function drawnTensor(
  sampler: Sampler,
  parameter: Parameter,
  initialized: InitializedParameter | undefined,
): WeightTensor {
  const { shape } = parameter
  const value = INITIAL_MOMENTS[parameter.role as keyof typeof INITIAL_MOMENTS]
  const { law, seed }: { law: Law; seed: SeedVector } = initialized ?? {
    law: { kind: 'constant', value },
    seed: [0, 0],
  }
  return {
    ...describeParameter(parameter),
    law,
    initializer: initialized ? recordedInitializer(initialized) : null,
    factor: initialized?.factor,
    divisible: isDivisible(law),
    slices: () => sampler.slices(law, shape, seed),
    read: (offset, count) => sampler.read(law, shape, seed, offset, count),
    hold: isElementwise(law) ? () => sampler.hold(law, shape, seed) : undefined,
  }
}

function describeParameter(parameter: Parameter): Pick<WeightTensor, 'name' | 'shape' | 'trainable'> {
  const { name, shape } = parameter
  return { name, shape, trainable: !isBuffer(parameter) }
}

function storedTensor(file: SafetensorsFile, parameter: Parameter): WeightTensor {
  const { name, shape } = parameter
  const size = sizeOf(shape)
  return {
    ...describeParameter(parameter),
    law: null,
    initializer: null,
    divisible: true,
    slices: async function* () {
      for (let offset = 0; offset < size; offset += SLICE)
        yield await file.read(name, offset, Math.min(SLICE, size - offset))
    },
    read: (offset, count) => file.read(name, offset, count),
  }
}
