import type * as TensorFlow from '@tensorflow/tfjs-node-gpu'
import type { Tensor, Tensor1D, Tensor4D } from '@tensorflow/tfjs-node-gpu'
import type { Moments, NetworkOps, Padding, Shape, Window } from '../../../network/ops.ts'

/** A computed tensor. `shape` excludes the batch. */
export interface Eager extends Shape {
  readonly tensor: Tensor
}

/** Observes values by layer name while a network runs. */
export interface Recorder {
  /** A residual sum, and its branch. */
  sum(name: string, sum: Tensor, branch: Tensor): void
  /** The input of a ReLU. */
  rectified(x: Tensor): void
  /** Called when the backward pass reaches a residual sum. */
  returned?(): void
}

export interface EagerOptions {
  /** Parameters and buffers by name, owned by the caller. */
  readonly values: ReadonlyMap<string, Tensor>
  /** True: norms use the batch's moments, as in training. False: the moving moments. */
  readonly batchStatistics: boolean
  readonly recorder: Recorder
}

/**
 * Runs networks eagerly, so that they can be differentiated. Created tensors belong to the caller's `tidy`.
 * Requires a process without TF_ONEDNN_ASSUME_FROZEN_WEIGHTS, which makes eager convolutions wrong.
 */
export class EagerNetworkOps implements NetworkOps<Eager> {
  readonly #tf: typeof TensorFlow
  readonly #options: EagerOptions

  constructor(tf: typeof TensorFlow, options: EagerOptions) {
    this.#tf = tf
    this.#options = options
  }

  parameter(name: string, shape: readonly number[]): Eager {
    const tensor = this.#options.values.get(name)
    if (tensor === undefined) throw new TypeError(`${name} has no values`)
    return { tensor, shape }
  }

  conv2d(_name: string, x: Eager, kernel: Eager, window: Window): Eager {
    const { size, strides, padding } = window
    const filter = kernel.tensor as Tensor4D
    // The same padding without an extra tensor.
    if (isSame(window)) return batched(this.#tf.conv2d(x.tensor as Tensor4D, filter, strides, 'same'))
    const input = this.#padded(x, padding)
    if (size > 1 || strides === 1)
      return batched(this.#tf.conv2d(input, filter, strides, paddingMode(padding)))
    // libtensorflow's gradient of a 1x1 filter with strides writes out of bounds for odd batches (oneDNN in
    // TensorFlow 2.21).
    return batched(this.#tf.conv2d(this.#tf.maxPool(input, 1, strides, 'valid'), filter, 1, 'valid'))
  }

  matMul(_name: string, x: Eager, kernel: Eager): Eager {
    return batched(this.#tf.matMul(x.tensor, kernel.tensor))
  }

  biasAdd(_name: string, x: Eager, bias: Eager): Eager {
    return batched(this.#tf.add(x.tensor, bias.tensor))
  }

  batchNorm(_name: string, x: Eager, moments: Moments<Eager>, epsilon: number): Eager {
    const { gamma, beta, mean, variance } = moments
    const used = this.#options.batchStatistics
      ? this.#tf.moments(x.tensor, [0, 1, 2])
      : { mean: mean.tensor, variance: variance.tensor }
    const vector = (tensor: Tensor): Tensor1D => tensor as Tensor1D
    return batched(
      this.#tf.batchNorm4d(
        x.tensor as Tensor4D,
        vector(used.mean),
        vector(used.variance),
        vector(beta.tensor),
        vector(gamma.tensor),
        epsilon,
      ),
    )
  }

  scale(_name: string, x: Eager, factor: Eager): Eager {
    return batched(this.#tf.mul(x.tensor, factor.tensor))
  }

  shift(_name: string, x: Eager, offset: Eager): Eager {
    return batched(this.#tf.add(x.tensor, offset.tensor))
  }

  relu(_name: string, x: Eager): Eager {
    this.#options.recorder.rectified(x.tensor)
    return batched(this.#tf.relu(x.tensor))
  }

  add(name: string, branch: Eager, shortcut: Eager): Eager {
    const sum = this.#tf.add(branch.tensor, shortcut.tensor)
    const { recorder } = this.#options
    recorder.sum(name, sum, branch.tensor)
    if (recorder.returned === undefined) return batched(sum)
    const identity = this.#tf.customGrad((x) => ({
      value: (x as Tensor).clone(),
      gradFunc: (derivative: Tensor) => {
        recorder.returned?.()
        return derivative
      },
    }))
    return batched(identity(sum))
  }

  maxPool(_name: string, x: Eager, { size, strides, padding }: Window): Eager {
    return batched(this.#tf.maxPool(this.#padded(x, padding), size, strides, paddingMode(padding)))
  }

  averagePool(_name: string, x: Eager, { size, strides, padding }: Window): Eager {
    return batched(this.#tf.avgPool(this.#padded(x, padding), size, strides, paddingMode(padding)))
  }

  globalAverage(_name: string, x: Eager): Eager {
    return batched(this.#tf.mean(x.tensor, [1, 2]))
  }

  flatten(_name: string, x: Eager): Eager {
    const [batch = 1] = x.tensor.shape
    return batched(this.#tf.reshape(x.tensor, [batch, -1]))
  }

  shared(x: Eager): Eager {
    return x
  }

  /** Adds explicit zeros; the operation that follows is 'valid'. */
  #padded({ tensor }: Eager, padding: Padding): Tensor4D {
    const x = tensor as Tensor4D
    if (typeof padding === 'string' || padding.symmetric === 0) return x
    const margin: [number, number] = [padding.symmetric, padding.symmetric]
    return this.#tf.pad4d(x, [[0, 0], margin, margin, [0, 0]])
  }
}

function isSame({ size, strides, padding }: Window): boolean {
  return typeof padding === 'object' && strides === 1 && padding.symmetric * 2 === size - 1
}

function paddingMode(padding: Padding): 'same' | 'valid' {
  return typeof padding === 'string' ? padding : 'valid'
}

export function batched(tensor: Tensor): Eager {
  return { tensor, shape: tensor.shape.slice(1) }
}
