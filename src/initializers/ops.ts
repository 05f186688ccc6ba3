import type { RandomLaw } from './law.ts'

/** Philox state as tensors: key uint64 [1], counter uint64 [2], and the number of values to draw. */
export interface DrawStream<T> {
  readonly key: T
  readonly counter: T
  readonly count: T
}

/**
 * The operations that initializers draw with. Draws are flat. Values are float32 unless stated as float64; an
 * operation takes values of one type and returns that type.
 */
export interface DrawOps<T> {
  scalar(value: number): T
  /** A float64 scalar. */
  double(value: number): T
  /** A constant tensor of one value. */
  fill(shape: readonly number[], value: number): T
  /** A constant vector. */
  values(values: readonly number[]): T
  /** U[0, 1), N(0, 1), or N(0, 1) redrawn beyond two. */
  random(kind: RandomLaw['kind'], stream: DrawStream<T>): T
  /** U[0, 1) in float64, to 52 bits: two values for a counter instead of four. */
  fineUniform(stream: DrawStream<T>): T
  /** float32 to float64, and back. */
  widen(x: T): T
  narrow(x: T): T
  mul(a: T, b: T): T
  sum(a: T, b: T): T
  difference(a: T, b: T): T
  /** To the nearest integer. */
  round(x: T): T
  /** x where it is within the bounds, else the exceeded bound. */
  clip(x: T, low: T, high: T): T
  /** The quantile of the standard normal at this probability. */
  normalQuantile(probability: T): T
  reshape(x: T, shape: readonly number[]): T
  slice(x: T, begin: readonly number[], size: readonly number[]): T
  /** Adds entries before and after each axis: `value`, or 0. */
  pad(x: T, widths: readonly (readonly [number, number])[], value?: T): T
  /** x repeated along each axis. */
  tile(x: T, times: readonly number[]): T
  /** x repeated along axes of size 1, to a shape of the same rank. */
  broadcast(x: T, shape: readonly number[]): T
  transpose(x: T): T
  matMul(a: T, b: T): T
  /** The reduced QR decomposition of a matrix with at least as many rows as columns. */
  qr(x: T): { q: T; r: T }
  diagonal(x: T): T
  sign(x: T): T
  /** 1 where x > 0, else 0. */
  positive(x: T): T
  /** A [rows, columns] matrix with `value` on the diagonal, `value` times 0 elsewhere. */
  eye(rows: number, columns: number, value: number): T
  /** The stream of a seed vector, for `count` values. */
  stream(
    key: readonly [number, number],
    counter: readonly [number, number, number, number],
    count: number,
  ): DrawStream<T>
}
