import type * as TensorFlow from '@tensorflow/tfjs-node-gpu'
import type { Tensor } from '@tensorflow/tfjs-node-gpu'
import type { Moments } from '../../../network/ops.ts'
import { batched, EagerNetworkOps, type Eager } from './network-ops.ts'

/** The part of tfjs-node's backend that runs TensorFlow's own operations. */
interface Kernels {
  readonly binding: Readonly<
    Record<'TF_FLOAT' | 'TF_ATTR_TYPE' | 'TF_ATTR_FLOAT' | 'TF_ATTR_STRING' | 'TF_ATTR_BOOL', number>
  >
  executeSingleOutput(name: string, attributes: readonly Attribute[], inputs: readonly Tensor[]): Tensor
  executeMultipleOutputs(
    name: string,
    attributes: readonly Attribute[],
    inputs: readonly Tensor[],
    outputs: number,
  ): Tensor[]
}
interface Attribute {
  readonly name: string
  readonly type: number
  readonly value: number | string | boolean
}

/** Receives the batch moments of a norm, [channels], with the population variance. */
export type OnMoments = (norm: string, mean: Float32Array, variance: Float32Array) => void

/**
 * Networks in training. tfjs differentiates a batch norm, its moments, a ReLU and a bias in dozens of small
 * operations; here each is one TensorFlow operation, and one for the gradient. That halves the time of a step.
 */
export class TrainingOps extends EagerNetworkOps {
  readonly #tf: typeof TensorFlow
  readonly #kernels: Kernels
  readonly #onMoments: OnMoments

  constructor(tf: typeof TensorFlow, values: ReadonlyMap<string, Tensor>, onMoments: OnMoments) {
    const recorder = { sum: () => undefined, rectified: () => undefined }
    super(tf, { values, batchStatistics: true, recorder })
    this.#tf = tf
    this.#kernels = tf.backend() as unknown as Kernels
    this.#onMoments = onMoments
  }

  override batchNorm(name: string, x: Eager, { gamma, beta }: Moments<Eager>, epsilon: number): Eager {
    const { binding } = this.#kernels
    const attributes = [
      this.#type('T'),
      this.#type('U'),
      { name: 'epsilon', type: binding.TF_ATTR_FLOAT, value: epsilon },
      { name: 'data_format', type: binding.TF_ATTR_STRING, value: 'NHWC' },
      { name: 'is_training', type: binding.TF_ATTR_BOOL, value: true },
    ]
    return this.#differentiated([x, gamma, beta], ([input, scale, offset]) => {
      const none = this.#tf.tensor1d([])
      const inputs = [input, scale, offset, none, none] as Tensor[]
      // Outputs: the normalized tensor, the moments for a moving average (with the sample variance), and two inputs
      // of the gradient.
      const [output, , , ...kept] = this.#kernels.executeMultipleOutputs(
        'FusedBatchNormV3',
        attributes,
        inputs,
        6,
      )
      const [mean, variance] = kept.map((moments) => moments.dataSync() as Float32Array)
      if (output === undefined || mean === undefined || variance === undefined)
        throw new TypeError('FusedBatchNormV3 returned no moments')
      this.#onMoments(name, mean, variance)
      return {
        output,
        saved: [input, scale, ...kept] as Tensor[],
        gradient: (dy, saved) =>
          this.#kernels
            .executeMultipleOutputs('FusedBatchNormGradV3', attributes, [dy, ...saved], 5)
            .slice(0, 3),
      }
    })
  }

  override relu(_name: string, x: Eager): Eager {
    const attributes = [this.#type('T')]
    return this.#differentiated([x], (inputs) => {
      const output = this.#kernels.executeSingleOutput('Relu', attributes, inputs)
      return {
        output,
        saved: [output],
        gradient: (dy, saved) => [this.#kernels.executeSingleOutput('ReluGrad', attributes, [dy, ...saved])],
      }
    })
  }

  override biasAdd(_name: string, x: Eager, bias: Eager): Eager {
    const attributes = [this.#type('T')]
    return this.#differentiated([x, bias], (inputs) => ({
      output: this.#kernels.executeSingleOutput('BiasAdd', attributes, inputs),
      saved: [],
      gradient: (dy) => [dy, this.#kernels.executeSingleOutput('BiasAddGrad', attributes, [dy])],
    }))
  }

  #type(name: string): Attribute {
    return { name, type: this.#kernels.binding.TF_ATTR_TYPE, value: this.#kernels.binding.TF_FLOAT }
  }

  /** An operation with its gradient by each input. */
  #differentiated(
    inputs: readonly Eager[],
    operation: (inputs: readonly Tensor[]) => {
      readonly output: Tensor
      readonly saved: readonly Tensor[]
      readonly gradient: (dy: Tensor, saved: readonly Tensor[]) => Tensor[]
    },
  ): Eager {
    const run = this.#tf.customGrad((...given) => {
      const save = given.pop() as (tensors: Tensor[]) => void
      const { output, saved, gradient } = operation(given as Tensor[])
      save([...saved])
      return { value: output, gradFunc: (dy: Tensor, kept: Tensor[]) => gradient(dy, kept) }
    })
    return batched(run(...inputs.map(({ tensor }) => tensor)))
  }
}
