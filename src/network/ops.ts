/**
 * The tensor operations that networks are written against, once, for every executor: one that knows shapes only, one
 * that writes TensorFlow graph nodes. What initializers draw with is `initializers/ops.ts`.
 *
 * `T` is the executor's own notion of a tensor. Image tensors are NHWC; shapes never include the batch. Executors own
 * what they create; callers only pass tensors on.
 */

/** The roles a parameter can have. The moving moments are buffers: kept with the weights, but not trained. */
export type Role = 'kernel' | 'bias' | 'gamma' | 'beta' | 'moving_mean' | 'moving_variance'

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

/** What networks know of every executor's tensors. */
export interface Shape {
  /** The static shape, without the batch. */
  readonly shape: readonly number[]
}

/** A network's operations. `name` is the layer's, as in `stage1/block1/conv1`; results may be deferred and fused. */
export interface NetworkOps<T extends Shape> {
  /** A weight or buffer; its name is the layer's followed by its role. Asked for once each, in creation order. */
  parameter(name: string, shape: readonly number[], role: Role): T
  /** x [h, w, in], kernel [k, k, in, out] -> [h', w', out]. */
  conv2d(name: string, x: T, kernel: T, window: Window): T
  /** x [..., c], kernel [c, units] -> [..., units]. */
  matMul(name: string, x: T, kernel: T): T
  biasAdd(name: string, x: T, bias: T): T
  /** gamma * (x - mean) / sqrt(variance + epsilon) + beta, per channel. */
  batchNorm(name: string, x: T, moments: Moments<T>, epsilon: number): T
  /** x times a scalar parameter of shape [1]. */
  scale(name: string, x: T, factor: T): T
  /** x plus a scalar parameter of shape [1]. */
  shift(name: string, x: T, offset: T): T
  relu(name: string, x: T): T
  /** The residual sum. Throws SHAPE_MISMATCH where the branch and the shortcut differ. */
  add(name: string, branch: T, shortcut: T): T
  maxPool(name: string, x: T, window: Window): T
  averagePool(name: string, x: T, window: Window): T
  /** [h, w, c] -> [c]. */
  globalAverage(name: string, x: T): T
  flatten(name: string, x: T): T
  /** Says that x is read more than once, so that nothing that follows may be fused into it. */
  shared(x: T): T
}
