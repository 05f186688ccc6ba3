import type * as TensorFlow from '@tensorflow/tfjs-node-gpu'
import type { Tensor } from '@tensorflow/tfjs-node-gpu'
import { residualNetwork } from '../../../network/residual-network.ts'
import type { Specification } from '../../../network/specification.ts'
import { channelMoments, deadFraction, type ChannelMoments } from '../../../statistics/channels.ts'
import { EagerNetworkOps, type Recorder } from './network-ops.ts'

/** The input of one forward and backward pass. */
export interface TrialInput {
  readonly specification: Pick<Specification, 'architecture' | 'residual_scheme'>
  /** float32 [batch, height, width, channels], preprocessed. */
  readonly images: Float32Array
  readonly labels: Int32Array
  readonly batchStatistics: boolean
}

export interface BlockActivation extends ChannelMoments {
  readonly name: string
  readonly residualVariance: number
  deadFraction: number
}

export interface Trial {
  readonly blocks: readonly BlockActivation[]
  /** Mean cross entropy, in nats. */
  readonly loss: number
  /** Mean entropy of the predicted classes, in nats. */
  readonly outputEntropy: number
}

/**
 * Runs a batch forward and backward. `gradient` receives the loss's derivative by every trainable parameter, in the
 * order of `parameters`, before it is freed. `alive` is called at every block in both directions. All created
 * tensors are freed.
 */
export function runTrial(
  tf: typeof TensorFlow,
  values: ReadonlyMap<string, Tensor>,
  parameters: readonly Tensor[],
  { specification, images, labels, batchStatistics }: TrialInput,
  gradient: (index: number, values: Float32Array) => void,
  alive: () => void,
): Trial {
  const blocks: BlockActivation[] = []
  const recorder = recordBlocks(blocks, alive)
  let loss = NaN
  let outputEntropy = NaN
  tf.tidy(() => {
    const computeLoss = (): Tensor => {
      const ops = new EagerNetworkOps(tf, { values, batchStatistics, recorder })
      const { input_shape: shape, head } = specification.architecture
      const batch = tf.tensor(images, [labels.length, ...shape])
      const { logits } = residualNetwork(ops, specification, { tensor: batch, shape })
      const logs = tf.logSoftmax(logits.tensor)
      const targets = tf.oneHot(tf.tensor1d(labels, 'int32'), head.units)
      outputEntropy = meanEntropy(logs.dataSync() as Float32Array, labels.length)
      return tf.neg(tf.mean(tf.sum(tf.mul(targets, logs), -1)))
    }
    // valueAndGrads differentiates by tensor objects, which the network reads by name.
    const { value, grads } = tf.valueAndGrads(computeLoss)([...parameters])
    grads.forEach((derivative, index) => {
      gradient(index, derivative.dataSync() as Float32Array)
      derivative.dispose()
    })
    loss = value.dataSync()[0] ?? NaN
  })
  return { blocks, loss, outputEntropy }
}

/** Records each block's sum. The first ReLU that reads it determines the dead channels. */
function recordBlocks(blocks: BlockActivation[], alive: () => void): Recorder {
  let open: BlockActivation | undefined
  return {
    sum: (name, sum, branch) => {
      alive()
      const channels = sum.shape.at(-1) ?? 1
      open = {
        name: name.replace(/\/add$/, ''),
        ...channelMoments(sum.dataSync() as Float32Array, channels),
        residualVariance: channelMoments(branch.dataSync() as Float32Array, channels).variance,
        deadFraction: NaN,
      }
      blocks.push(open)
    },
    rectified: (x) => {
      if (open) open.deadFraction = deadFraction(x.dataSync() as Float32Array, x.shape.at(-1) ?? 1)
      open = undefined
    },
    returned: alive,
  }
}

/** Mean entropy from the logarithms of probabilities, row by row. Probabilities of 0 add nothing. */
function meanEntropy(logs: Float32Array, rows: number): number {
  let sum = 0
  for (const log of logs) if (log !== -Infinity) sum -= Math.exp(log) * log
  return sum / rows
}
