import type { Initializer } from '../initializers/initializer.ts'
import { matrixOf, orthogonalityError } from './spectrum.ts'
import { kerasShape, type Layout } from './candidates.ts'

/** Fewer vectors may be orthogonal by chance. */
const VECTORS = 4
/** Orthogonality error of a float32 QR decomposition. */
const ORTHOGONAL_WITHIN = 1e-5
/** Usual gains, which a measured gain is rounded to. */
const GAINS = [1, Math.SQRT2, 2, 0.5]

/** A matrix by rows. */
interface Matrix {
  readonly rows: number
  readonly columns: number
  readonly values: Float32Array
}

/** Detects an identity, as a matrix or at one tap of a convolution. */
export function identityIn(
  values: Float32Array,
  shape: readonly number[],
  layout: Layout,
): Initializer | undefined {
  const tap = shape.length > 2 ? onlyTap(values, shape, layout) : matrixWith(values, shape)
  if (!tap || Math.min(tap.rows, tap.columns) < 2) return undefined
  const { columns, values: entries } = tap
  const gain = entries[0] ?? 0
  const isEye = entries.every(
    (value, index) => value === (index % columns === Math.floor(index / columns) ? gain : 0),
  )
  if (!isEye || gain === 0) return undefined
  if (shape.length === 2) return { class_name: 'Identity', config: { gain } }
  return gain === 1 ? { class_name: 'Dirac', config: {} } : undefined
}

/** The [in, out] matrix at the only tap of a convolution kernel that is not all zeros. */
export function onlyTap(values: Float32Array, shape: readonly number[], layout: Layout): Matrix | undefined {
  const [inputs = 1, outputs = 1] = kerasShape(shape, layout).slice(-2)
  const taps = values.length / (inputs * outputs)
  const tapAt = (index: number): number =>
    layout === 'torch' ? index % taps : Math.floor(index / (inputs * outputs))
  const tap = tapAt(values.findIndex((value) => value !== 0))
  if (taps < 2 || values.some((value, index) => value !== 0 && tapAt(index) !== tap)) return undefined
  const entry = (input: number, output: number): number =>
    layout === 'torch' ? (output * inputs + input) * taps + tap : (tap * inputs + input) * outputs + output
  return {
    rows: inputs,
    columns: outputs,
    values: Float32Array.from(
      { length: inputs * outputs },
      (_, index) => values[entry(Math.floor(index / outputs), index % outputs)] ?? 0,
    ),
  }
}

/** Numbers of blocks in the biases of a recurrent cell, one per gate. */
const GATES = [2, 3, 4, 6, 8]

/**
 * True if a vector consists of blocks of zeros and ones, one per gate, such as an LSTM's biases with a forget gate
 * of 1.
 */
export function isGateBias(values: Float32Array, shape: readonly number[]): boolean {
  if (shape.length !== 1 || !values.every((value) => value === 0 || value === 1)) return false
  return GATES.some((gates) => {
    const size = values.length / gates
    if (!Number.isInteger(size) || size < 2) return false
    return values.every((value, index) => value === values[index - (index % size)])
  })
}

function matrixWith(values: Float32Array, shape: readonly number[]): Matrix | undefined {
  const matrix = matrixOf(shape)
  return matrix ? { ...matrix, values } : undefined
}

/**
 * The gain of an orthogonal matrix from its Gram matrix's eigenvalues; undefined if the matrix is not orthogonal.
 */
export function estimateOrthogonalGain(eigenvalues: Float64Array, epsilon: number): number | undefined {
  const within = Math.max(ORTHOGONAL_WITHIN, epsilon / 2)
  const error = orthogonalityError(eigenvalues)
  if (eigenvalues.length < VECTORS || error === null || error > within) return undefined
  const gain = Math.sqrt(eigenvalues.reduce((sum, value) => sum + value, 0) / eigenvalues.length)
  return GAINS.find((meant) => Math.abs(gain / meant - 1) < within) ?? gain
}
