import type { ElementwiseLaw } from './law.ts'

/** Philox state as tensors: key uint64 [1] and counter uint64 [2], and how many values to draw. */
export interface DrawStream<T> {
  readonly key: T
  readonly counter: T
  readonly count: T
}

/** The operations initializers draw with. All values are float32; draws are flat. */
export interface DrawOps<T> {
  scalar(value: number): T
  /** A constant tensor of one value. */
  fill(shape: readonly number[], value: number): T
  /** U[0, 1), N(0, 1), or N(0, 1) redrawn beyond two. */
  random(kind: ElementwiseLaw['kind'], stream: DrawStream<T>): T
  mul(a: T, b: T): T
  sum(a: T, b: T): T
  reshape(x: T, shape: readonly number[]): T
  transpose(x: T): T
  /** The reduced QR decomposition of a matrix with at least as many rows as columns. */
  qr(x: T): { q: T; r: T }
  diagonal(x: T): T
  sign(x: T): T
  /** A [rows, columns] matrix with `value` on the diagonal. */
  eye(rows: number, columns: number, value: number): T
  /** The stream of a seed vector, for `count` values. */
  stream(
    key: readonly [number, number],
    counter: readonly [number, number, number, number],
    count: number,
  ): DrawStream<T>
}
