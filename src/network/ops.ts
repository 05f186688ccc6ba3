/**
 * The tensor operations that networks consist of. Each executor implements them for one purpose: shapes
 * (`shapes.ts`), bounds of magnitudes that detect overflow (`overflow.ts`), TensorFlow graphs
 * (`tensorflow/network-ops.ts`), eager execution, training and mean-field theory (`analysis/worker/`). Initializers use
 * `initializers/ops.ts`.
 *
 * `T` is the executor's tensor. Image tensors are NHWC; shapes exclude the batch. Executors own the tensors that
 * they create.
 */

/** The roles of parameters. Moving moments are buffers: stored with the weights, but not trained. */
export type Role =
  | ('kernel' | 'bias' | 'gamma' | 'beta' | 'moving_mean' | 'moving_variance')
  /** The scalars of residual schemes. */
  | ('multiplier' | 'offset')

/** TensorFlow's 'same' and 'valid', or explicit zeros on each side as torch and Keras applications pad. */
export type Padding = 'same' | 'valid' | { readonly symmetric: number }

export interface Window {
  readonly size: number
  readonly strides: number
  readonly padding: Padding
}

export interface Moments<T> {
  readonly gamma: T
  readonly beta: T
  readonly mean: T
  readonly variance: T
}

/** Properties of every executor's tensors that networks read. */
export interface Shape {
  /** The static shape, without the batch. */
  readonly shape: readonly number[]
}

/**
 * A network's operations. `name` is the layer's name, as in `stage1/block1/conv1`. An executor may defer and fuse
 * operations.
 */
export interface NetworkOps<T extends Shape> {
  /** A weight or buffer, named after its layer and role. Called once for each, in creation order. */
  parameter(name: string, shape: readonly number[], role: Role): T
  /** x [h, w, in], kernel [k, k, in, out] -> [h', w', out]. */
  conv2d(name: string, x: T, kernel: T, window: Window): T
  /** x [..., c], kernel [c, units] -> [..., units]. */
  matMul(name: string, x: T, kernel: T): T
  biasAdd(name: string, x: T, bias: T): T
  /** gamma * (x - mean) / sqrt(variance + epsilon) + beta, per channel. */
  batchNorm(name: string, x: T, moments: Moments<T>, epsilon: number): T
  /** x times a scalar parameter, [1]. */
  scale(name: string, x: T, factor: T): T
  /** x plus a scalar parameter, [1]. */
  shift(name: string, x: T, offset: T): T
  relu(name: string, x: T): T
  /** The residual sum. Throws SHAPE_MISMATCH if the shapes of branch and shortcut differ. */
  add(name: string, branch: T, shortcut: T): T
  maxPool(name: string, x: T, window: Window): T
  averagePool(name: string, x: T, window: Window): T
  /** [h, w, c] -> [c]. */
  globalAverage(name: string, x: T): T
  flatten(name: string, x: T): T
  /** Declares that x is read more than once, so no later operation may be fused into it. */
  shared(x: T): T
}
