import type { WeightTensor } from '../../tensorflow/weight-sources.ts'
import { sizeOf } from '../../initializers/fans.ts'
import type { Parameter } from '../../network/shapes.ts'
import { splitParts, type NormFolder, type VariableValue } from '../../tensorflow/norm-folding.ts'
import { TensorHandle, type Feed } from '../../tensorflow/session.ts'

/**
 * Values drawn per step. A step then draws even ResNet's largest kernels whole, in 25 to 80 ms on two cores,
 * depending on the law.
 */
export const VALUES_PER_STEP = 2_500_000

/** Work in steps, between which the caller may do other work. */
export type CooperativeTask<R = void> = AsyncGenerator<undefined, R>

/** Values of a network's variables as feeds: drawn or read, and folded. */
export class VariableValues {
  readonly #folder: NormFolder
  readonly #tensors: ReadonlyMap<string, WeightTensor>

  constructor(folder: NormFolder, tensors: readonly WeightTensor[]) {
    this.#folder = folder
    this.#tensors = new Map(tensors.map((tensor) => [tensor.name, tensor]))
  }

  /** The value of a variable. The caller closes the handle. */
  async *feed(value: VariableValue): CooperativeTask<Feed> {
    if (value.kind === 'parameter') return yield* readWhole(this.tensorOf(value.parameter))
    const parts: Record<string, Feed> = {}
    try {
      for (const [part, parameter] of Object.entries(splitParts(value)))
        parts[part] = yield* readWhole(this.tensorOf(parameter))
      return this.#folder.fold(value, parts)
    } finally {
      closeHandles(parts)
    }
  }

  tensorOf({ name }: Parameter): WeightTensor {
    const tensor = this.#tensors.get(name)
    if (tensor === undefined) throw new TypeError(`no values for ${name}`)
    return tensor
  }
}

/** Closes the feeds that are handles. */
export function closeHandles(feeds: Readonly<Record<string, Feed>>): void {
  for (const feed of Object.values(feeds)) if (feed instanceof TensorHandle) feed.close()
}

async function* readWhole(tensor: WeightTensor): CooperativeTask<Feed> {
  const size = sizeOf(tensor.shape)
  if (tensor.hold && size <= VALUES_PER_STEP) return tensor.hold()
  const values = new Float32Array(size)
  const step = tensor.divisible ? VALUES_PER_STEP : size
  for (let offset = 0; offset < size; offset += step) {
    if (offset > 0) yield
    values.set(await tensor.read(offset, Math.min(step, size - offset)), offset)
  }
  return { values, shape: tensor.shape }
}
