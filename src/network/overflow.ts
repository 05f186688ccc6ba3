import { sizeOf } from '../initializers/fans.ts'
import { windowShape } from './geometry.ts'
import type { Moments, NetworkOps, Shape, Window } from './ops.ts'
import type { Preprocessing } from './preprocessing.ts'
import { residualFeatures } from './residual-network.ts'
import type { Specification } from './specification.ts'

/**
 * Limit of all magnitudes: float32's largest value (3.4e38) less a margin for rounding and other orders of
 * summation.
 */
const LIMIT = 1e35
/**
 * Usual kernels let activations grow by at most this factor between two checkpoints, so that limits are far above
 * usual values.
 */
const MAX_GROWTH = 1e24
/** Above the magnitude of any usual preprocessed pixel. */
const USUAL_INPUT = 1e3

/**
 * The gain of a layer's variable on the largest magnitude: for a kernel the largest sum of magnitudes into one
 * output, for other variables their largest magnitude. Undefined if there is no such variable.
 */
export type ReadGain = (name: string, shape: readonly number[]) => number | undefined

/**
 * The residual sums whose magnitudes are checked at each prediction. There are none if the usual bound of the
 * network stays below the limit: the check of the input is then sufficient.
 */
export function chooseCheckpoints(network: Specification): string[] {
  const usual: ReadGain = (name, shape) => {
    if (name.endsWith('/kernel')) return 2 * Math.sqrt(sizeOf(shape.slice(0, -1)))
    return /\/(scale|shift)$/.test(name) ? undefined : Number(name.endsWith('/multiplier'))
  }
  const checkpoints: string[] = []
  let before = USUAL_INPUT
  const ops = new BoundOps(usual, (name, growth) => {
    // The next block grows by about as much as this one.
    const isCheckpoint = growth * (growth / before) > MAX_GROWTH
    before = isCheckpoint ? 1 : growth
    if (isCheckpoint) checkpoints.push(name)
    return isCheckpoint
  })
  residualFeatures(ops, network, ops.input(network, USUAL_INPUT))
  return checkpoints
}

/**
 * The largest magnitudes of the input, and of the activations at each checkpoint, for which nothing overflows
 * before the next checkpoint. The bound of a sum is the magnitude of the layer's input times the layer's gain. NaN
 * if weights are not finite.
 */
export function computeLimits(
  network: Specification,
  checkpoints: readonly string[],
  readGain: ReadGain,
): number[] {
  const ops = new BoundOps(readGain, (name) => checkpoints.includes(name))
  residualFeatures(ops, network, ops.input(network, 1))
  return ops.limits
}

/** The largest magnitude of a preprocessed pixel. */
export function pixelBound({ scale, mean, std }: Preprocessing): number {
  const bounds = mean.flatMap((value, channel) =>
    [0, 255].map((pixel) => Math.abs((pixel * scale - value) / (std[channel] ?? 1))),
  )
  return Math.max(...bounds)
}

/** A tensor with magnitudes of at most `growth` times those at the last checkpoint, plus `offset`. */
interface BoundedTensor extends Shape {
  /** The name of a parameter, or of the convolution that a norm may be folded into. */
  readonly name: string
  readonly growth: number
  readonly offset: number
  /** True if the convolution's bias is included, and with it a folded norm's shift. */
  readonly isBiased?: boolean
}

/**
 * Computes bounds of magnitudes. Operations after the last ReLU need none: their infinities and NaN reach the
 * logits.
 */
class BoundOps implements NetworkOps<BoundedTensor> {
  /** One for the input and one for each checkpoint, in order. */
  readonly limits: number[] = [Infinity]
  readonly #gainOf: ReadGain
  readonly #isCheckpoint: (name: string, growth: number) => boolean

  constructor(readGain: ReadGain, isCheckpoint: (name: string, growth: number) => boolean) {
    this.#gainOf = readGain
    this.#isCheckpoint = isCheckpoint
  }

  input({ architecture }: Pick<Specification, 'architecture'>, growth: number): BoundedTensor {
    return { shape: architecture.input_shape, name: '', growth, offset: 0 }
  }

  parameter(name: string, shape: readonly number[]): BoundedTensor {
    return { shape, name, growth: 0, offset: 0 }
  }

  conv2d(name: string, x: BoundedTensor, kernel: BoundedTensor, window: Window): BoundedTensor {
    const gain = this.#gain(kernel)
    const shape = windowShape(name, x.shape, window, kernel.shape.at(-1) ?? 1)
    return this.#limited({ shape, name, growth: x.growth * gain, offset: x.offset * gain })
  }

  matMul(name: string, x: BoundedTensor, kernel: BoundedTensor): BoundedTensor {
    const gain = this.#gain(kernel)
    const shape = [...x.shape.slice(0, -1), kernel.shape.at(-1) ?? 1]
    return this.#limited({ shape, name, growth: x.growth * gain, offset: x.offset * gain })
  }

  biasAdd(_name: string, x: BoundedTensor, bias: BoundedTensor): BoundedTensor {
    return { ...this.shift('', x, bias), name: x.name, isBiased: true }
  }

  /** The kernel and bias of the convolution include a folded norm. */
  batchNorm(name: string, x: BoundedTensor, { gamma }: Moments<BoundedTensor>): BoundedTensor {
    const gain = this.#gainOf(`${name}/scale`, gamma.shape)
    if (gain === undefined) {
      if (x.isBiased === true) return { ...x, name: '' }
      return this.shift('', x, { ...gamma, name: `${x.name}/bias` })
    }
    const scaled = { ...x, growth: x.growth * gain, offset: x.offset * gain }
    return this.shift('', scaled, { ...gamma, name: `${name}/shift` })
  }

  scale(_name: string, x: BoundedTensor, factor: BoundedTensor): BoundedTensor {
    const gain = this.#gain(factor)
    return this.#limited({ shape: x.shape, name: '', growth: x.growth * gain, offset: x.offset * gain })
  }

  shift(_name: string, { shape, growth, offset }: BoundedTensor, summand: BoundedTensor): BoundedTensor {
    return this.#limited({ shape, name: '', growth, offset: offset + this.#gain(summand) })
  }

  relu(_name: string, x: BoundedTensor): BoundedTensor {
    return x
  }

  add(name: string, branch: BoundedTensor, shortcut: BoundedTensor): BoundedTensor {
    const [growth, offset] = [branch.growth + shortcut.growth, branch.offset + shortcut.offset]
    const sum = this.#limited({ shape: branch.shape, name: '', growth, offset })
    if (!this.#isCheckpoint(name, growth)) return sum
    this.limits.push(Infinity)
    return { ...sum, growth: 1, offset: 0 }
  }

  maxPool(name: string, x: BoundedTensor, window: Window): BoundedTensor {
    return { ...x, shape: windowShape(name, x.shape, window, x.shape.at(-1) ?? 1), name: '' }
  }

  averagePool(name: string, x: BoundedTensor, window: Window): BoundedTensor {
    const taps = window.size ** 2
    this.#limited({ ...x, growth: x.growth * taps, offset: x.offset * taps })
    return this.maxPool(name, x, window)
  }

  globalAverage(_name: string, x: BoundedTensor): BoundedTensor {
    return { ...x, shape: x.shape.slice(-1) }
  }

  flatten(_name: string, x: BoundedTensor): BoundedTensor {
    return { ...x, shape: [sizeOf(x.shape)] }
  }

  shared(x: BoundedTensor): BoundedTensor {
    return x
  }

  #gain({ name, shape }: BoundedTensor): number {
    const gain = this.#gainOf(name, shape)
    if (gain === undefined) throw new TypeError(`${name} has no gain`)
    return gain
  }

  /** Lowers the limit so that the tensor stays below LIMIT. */
  #limited(x: BoundedTensor): BoundedTensor {
    const limit = this.limits.pop() ?? Infinity
    this.limits.push(Math.min(limit, (LIMIT - x.offset) / x.growth))
    return x
  }
}
