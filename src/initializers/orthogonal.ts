import { sizeOf } from './fans.ts'
import type { DrawOps } from './ops.ts'

/** Returns the first `count` independent N(0, 1) of the tensor's stream, flat. Called once per tensor. */
type Normals<T> = (count: number) => T

/**
 * `init_ops.py: Orthogonal`: the rows of the flattened kernel are orthogonal, or its columns if there are fewer.
 */
export function drawOrthogonal<T>(
  ops: DrawOps<T>,
  gain: number,
  shape: readonly number[],
  normals: Normals<T>,
): T {
  const columns = shape.at(-1) ?? 1
  const rows = sizeOf(shape) / columns
  const tall: [number, number] = [Math.max(rows, columns), Math.min(rows, columns)]
  const signed = orthonormalColumns(ops, ops.reshape(normals(sizeOf(tall)), tall))
  const matrix = rows < columns ? ops.transpose(signed) : signed
  return ops.mul(ops.reshape(matrix, shape), ops.scalar(Math.fround(gain)))
}

/**
 * `init_ops.py: ConvolutionDeltaOrthogonal` (Xiao et al., 2018, algorithm 2): the first rows of an orthogonal [out,
 * out] matrix at the middle tap of the window. Requires at most as many inputs as outputs.
 */
export function drawDeltaOrthogonal<T>(
  ops: DrawOps<T>,
  gain: number,
  shape: readonly number[],
  normals: Normals<T>,
): T {
  const [inputs = 1, outputs = 1] = shape.slice(-2)
  const square = ops.reshape(normals(outputs * outputs), [outputs, outputs])
  const rows = ops.slice(orthonormalColumns(ops, square), [0, 0], [inputs, outputs])
  const matrix = ops.mul(rows, ops.scalar(Math.fround(gain)))
  return atTap(ops, matrix, shape, (size) => Math.floor((size - 1) / 2))
}

/**
 * `init_ops.py: ConvolutionOrthogonal1D, 2D, 3D` (Xiao et al., 2018, algorithm 1): an orthogonal [in, out] matrix,
 * convolved along each axis in turn with pairs of taps (P, I - P), P a random projector, until the window is full.
 * Requires a window of equal sides and at most as many inputs as outputs.
 *
 * TensorFlow draws each matrix with its own op and increments the seed, except for seed 0, for which all matrices
 * are equal and most taps zero. Here one draw from the tensor's stream is cut into the first matrix and, for each
 * pair of taps, a matrix and the signs that select P's directions. The matrices always differ, and no other tensor
 * uses these draws.
 */
export function drawConvolutionOrthogonal<T>(
  ops: DrawOps<T>,
  gain: number,
  shape: readonly number[],
  normals: Normals<T>,
): T {
  const window = shape.slice(0, -2)
  const [inputs = 1, outputs = 1] = shape.slice(-2)
  const square = outputs * outputs
  const pairs = window.length * ((window[0] ?? 1) - 1)
  const drawn = ops.widen(normals(square + pairs * (square + outputs)))
  const part = (begin: number, count: number): T => ops.slice(drawn, [begin], [count])
  const matrix = (begin: number): T =>
    onGrid(ops, orthonormalColumns(ops, ops.reshape(part(begin, square), [outputs, outputs])))

  let kernel = ops.slice(matrix(0), [0, 0], [inputs, outputs])
  let taps = window.map(() => 1)
  for (let pair = 0; pair < pairs; pair++) {
    const begin = square + pair * (square + outputs)
    const directions = ops.mul(matrix(begin), ops.positive(part(begin + square, outputs)))
    const projector = onGrid(ops, ops.matMul(directions, ops.transpose(directions)))
    const size = [...taps, inputs, outputs]
    const along = (here: readonly [number, number]): (readonly [number, number])[] =>
      size.map((_, axis) => (axis === pair % window.length ? here : [0, 0]))
    const projected = ops.matMul(ops.reshape(kernel, [sizeOf(size) / outputs, outputs]), projector)
    const kept = ops.reshape(onGrid(ops, projected), size)
    const rest = ops.difference(ops.reshape(kernel, size), kept)
    kernel = ops.sum(ops.pad(kept, along([0, 1])), ops.pad(rest, along([1, 0])))
    taps = taps.map((length, axis) => (axis === pair % window.length ? length + 1 : length))
  }
  return ops.mul(ops.reshape(ops.narrow(kernel), shape), ops.scalar(Math.fround(gain)))
}

/** Finer than float32. GRID^2 is the last digit of float64 numbers from 1 to 2. */
const GRID = 2 ** -26

/**
 * Rounds float64 to the grid. Products of such numbers are multiples of GRID^2, and since rows and columns here
 * have norm 1 at most, all their sums are exact. A matrix product then does not depend on the order of its sums,
 * which in TensorFlow depends on the number of threads.
 */
function onGrid<T>(ops: DrawOps<T>, x: T): T {
  return ops.mul(ops.round(ops.mul(x, ops.double(1 / GRID))), ops.double(GRID))
}

/**
 * A kernel with an [in, out] matrix at one tap and zeros elsewhere. `choosePosition` maps the size of each side to
 * the tap's position along it.
 */
export function atTap<T>(
  ops: DrawOps<T>,
  matrix: T,
  shape: readonly number[],
  choosePosition: (size: number) => number,
): T {
  const window = shape.slice(0, -2)
  const single = ops.reshape(matrix, [...window.map(() => 1), ...shape.slice(-2)])
  const widths = window.map((size) => [choosePosition(size), size - 1 - choosePosition(size)] as const)
  return ops.pad(single, [...widths, [0, 0], [0, 0]])
}

/**
 * Q of the QR decomposition of a normal matrix with at least as many rows as columns. The signs of R's diagonal fix
 * the signs of the columns, so the distribution is uniform over orthonormal columns.
 */
function orthonormalColumns<T>(ops: DrawOps<T>, normal: T): T {
  const { q, r } = ops.qr(normal)
  return ops.mul(q, ops.sign(ops.diagonal(r)))
}
