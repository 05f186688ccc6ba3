import type { Window } from '../network/ops.ts'
import type { Parameter } from '../network/shapes.ts'
import type { BFLOAT16, FLOAT } from './graph.ts'

/** Data type of convolutions. */
export type Precision = typeof FLOAT | typeof BFLOAT16

/**
 * A tensor of the graph, a parameter that is not yet in the graph, or a pending convolution whose kernel may still
 * be folded with a norm.
 */
export type Value =
  | {
      readonly kind: 'tensor'
      readonly node: string
      readonly shape: readonly number[]
      readonly type: Precision
    }
  | ({ readonly kind: 'parameter' } & Parameter)
  | PendingConvolution

/** A convolution that is written when its result is read. */
export interface PendingConvolution {
  readonly kind: 'convolution'
  readonly name: string
  readonly shape: readonly number[]
  readonly x: string
  readonly kernel: Parameter
  readonly bias?: Parameter
  readonly window: Window
}

/** A node of the graph as a value. */
export function tensor(
  node: string,
  shape: readonly number[],
  type: Precision,
): Extract<Value, { readonly kind: 'tensor' }> {
  return { kind: 'tensor', node, shape, type }
}

/** Asserts that a value is a parameter. */
export function asParameter(value: Value): Parameter {
  if (value.kind !== 'parameter') throw new TypeError('expected a parameter')
  return value
}
