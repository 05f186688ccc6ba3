import type { RandomLaw } from './law.ts'

/** Philox state as tensors: key uint64 [1], counter uint64 [2], and the number of values to draw. */
export interface DrawStream<T> {
  readonly key: T
  readonly counter: T
  readonly count: T
}

/**
 * Operations for drawing initializers. Draws are flat. Values are float32 unless float64 is stated; an operation
 * takes values of one type and returns that type.
 */
export interface DrawOps<T> {
  scalar(value: number): T
  /** A float64 scalar. */
  double(value: number): T
  /** A constant tensor of one value. */
  fill(shape: readonly number[], value: number): T
  /** A constant vector. */
  values(values: readonly number[]): T
  /** U[0, 1), N(0, 1), or N(0, 1) redrawn beyond two standard deviations. */
  random(kind: RandomLaw['kind'], stream: DrawStream<T>): T
  /** U[0, 1) in float64 with 52 bits. One counter gives two values instead of four. */
  fineUniform(stream: DrawStream<T>): T
  /** float32 to float64. */
  widen(x: T): T
  narrow(x: T): T
  mul(a: T, b: T): T
  sum(a: T, b: T): T
  difference(a: T, b: T): T
  /** Rounds to the nearest integer. */
  round(x: T): T
  /** Limits x to the bounds. */
  clip(x: T, low: T, high: T): T
  /** The quantile of the standard normal at this probability. */
  normalQuantile(probability: T): T
  reshape(x: T, shape: readonly number[]): T
  slice(x: T, begin: readonly number[], size: readonly number[]): T
  /** Adds entries before and after each axis: `value`, or 0 by default. */
  pad(x: T, widths: readonly (readonly [number, number])[], value?: T): T
  /** Repeats x along each axis. */
  tile(x: T, times: readonly number[]): T
  /** Repeats x along axes of size 1, up to a shape of the same rank. */
  broadcast(x: T, shape: readonly number[]): T
  transpose(x: T): T
  matMul(a: T, b: T): T
  /** The reduced QR decomposition of a matrix with at least as many rows as columns. */
  qr(x: T): { q: T; r: T }
  diagonal(x: T): T
  sign(x: T): T
  /** 1 where x > 0, else 0. */
  positive(x: T): T
  /** A [rows, columns] matrix: `value` on the diagonal, `value` * 0 elsewhere. */
  eye(rows: number, columns: number, value: number): T
  /** The stream of a seed vector, for `count` values. */
  stream(
    key: readonly [number, number],
    counter: readonly [number, number, number, number],
    count: number,
  ): DrawStream<T>
}
