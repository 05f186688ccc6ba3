import type * as TensorFlow from '@tensorflow/tfjs-node-gpu'
import type { Tensor } from '@tensorflow/tfjs-node-gpu'
import { residualNetwork } from '../../../network/residual-network.ts'
import type { Specification } from '../../../network/specification.ts'
import { EagerNetworkOps } from './network-ops.ts'
import { TrainingOps, type OnMoments } from './training-ops.ts'

type Network = Pick<Specification, 'architecture' | 'residual_scheme'>

/** A batch: float32 [batch, height, width, channels], preprocessed, and its classes. */
export interface Batch {
  readonly images: Float32Array
  readonly labels: Int32Array
}

/** The mean cross entropy of a batch, in nats, and its derivatives by the parameters, in their order. */
export function computeGradients(
  tf: typeof TensorFlow,
  network: Network,
  values: ReadonlyMap<string, Tensor>,
  parameters: readonly Tensor[],
  { images, labels }: Batch,
  onMoments: OnMoments,
): { readonly loss: number; readonly gradients: readonly Float32Array[] } {
  let loss = NaN
  let gradients: readonly Float32Array[] = []
  tf.tidy(() => {
    const { input_shape: shape, head } = network.architecture
    const { value, grads } = tf.valueAndGrads(() => {
      const ops = new TrainingOps(tf, values, onMoments)
      const input = { tensor: tf.tensor(images, [labels.length, ...shape]), shape }
      const { logits } = residualNetwork(ops, network, input)
      const own = tf.oneHot(tf.tensor1d(labels, 'int32'), head.units)
      return tf.neg(tf.mean(tf.sum(tf.mul(own, tf.logSoftmax(logits.tensor)), -1)))
    })([...parameters])
    loss = value.dataSync()[0] ?? NaN
    gradients = grads.map((gradient) => gradient.dataSync() as Float32Array)
  })
  return { loss, gradients }
}

/** The share of pictures whose class has the largest logit. Norms use their moving moments. */
export function computeAccuracy(
  tf: typeof TensorFlow,
  network: Network,
  values: ReadonlyMap<string, Tensor>,
  { images, labels }: Batch,
): number {
  const predicted = tf.tidy(() => {
    const recorder = { sum: () => undefined, rectified: () => undefined }
    const ops = new EagerNetworkOps(tf, { values, batchStatistics: false, recorder })
    const { input_shape: shape } = network.architecture
    const input = { tensor: tf.tensor(images, [labels.length, ...shape]), shape }
    return tf.argMax(residualNetwork(ops, network, input).logits.tensor, -1).dataSync()
  })
  return labels.filter((label, index) => predicted[index] === label).length / labels.length
}
