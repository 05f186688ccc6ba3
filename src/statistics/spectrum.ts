import Type, { type Static } from 'typebox'
import { theoryOf, isElementwise, type Law } from '../initializers/law.ts'
import { nullable, Num } from '../common/schema.ts'

/** A kernel flattened to [product of all dimensions but the last, last]; null below rank 2. */
export function matrixOf(shape: readonly number[]): { rows: number; columns: number } | null {
  const columns = shape.at(-1)
  if (columns === undefined || shape.length < 2) return null
  return { rows: shape.slice(0, -1).reduce((product, size) => product * size, 1), columns }
}

/** Spectrum of the flattened kernel. */
export const Spectrum = Type.Object({
  singular_values: Type.Array(Type.Number(), {
    description: 'Descending; values too small to be computed (below 1e-7 of the largest) are 0',
  }),
  condition_number: Num,
  spectral_norm: Type.Number(),
  stable_rank: nullable(Type.Number(), { description: 'Sum of squares divided by the largest square' }),
  effective_rank: nullable(Type.Number(), {
    description: 'exp of the entropy of the values divided by their sum (Roy and Vetterli 2007)',
  }),
  orthogonality_error: nullable(Type.Number(), {
    description:
      '|W^T W / g^2 - I|_F / sqrt(columns), or with W W^T and rows if there are fewer rows; g is the gain of an orthogonal ' +
      'law, else the g with the least error',
  }),
  marchenko_pastur: nullable(Type.Object({ min: Type.Number(), max: Type.Number() }), {
    description: 'Approximate extreme singular values of independent entries; null for other laws',
  }),
})
export type Spectrum = Static<typeof Spectrum>

/** The gain of a law of orthogonal matrices, flattened like all kernels or by inputs. */
export function orthogonalGain(law: Law | null): number | undefined {
  return law?.kind === 'orthogonal' || isIsometric(law) ? Math.abs(law.gain) : undefined
}

/** True for laws of isometric convolutions: the taps of each input together have the length of the gain. */
export function isIsometric(
  law: Law | null,
): law is Extract<Law, { kind: 'delta_orthogonal' | 'convolution_orthogonal' }> {
  return law?.kind === 'delta_orthogonal' || law?.kind === 'convolution_orthogonal'
}

/** Computes the spectrum from the ascending eigenvalues of W^T W, or of W W^T if that is smaller. */
export function computeSpectrum(
  eigenvalues: Float64Array,
  shape: readonly number[],
  law: Law | null,
): Spectrum {
  const values = singularValues(eigenvalues)
  const largest = values[0] ?? 0
  const sum = values.reduce((total, value) => total + value, 0)
  const entropy = values.reduce((total, value) => total - (value > 0 ? share(value, sum) : 0), 0)
  return {
    singular_values: values,
    condition_number: largest / (values.at(-1) ?? 0),
    spectral_norm: largest,
    stable_rank: largest > 0 ? values.reduce((total, value) => total + (value / largest) ** 2, 0) : null,
    effective_rank: largest > 0 ? Math.exp(entropy) : null,
    orthogonality_error: orthogonalityError(eigenvalues, isIsometric(law) ? undefined : orthogonalGain(law)),
    marchenko_pastur: marchenkoPastur(shape, law),
  }
}

function share(value: number, sum: number): number {
  return (value / sum) * Math.log(value / sum)
}

/**
 * Roots of a Gram matrix's eigenvalues, descending. In float64 an eigenvalue of 0 is rounded to a few units in the
 * last place of the largest one.
 */
function singularValues(eigenvalues: Float64Array): number[] {
  const largest = eigenvalues.at(-1) ?? 0
  const rounding = eigenvalues.length * Number.EPSILON * largest
  return Array.from(eigenvalues, (value) => (value > rounding ? Math.sqrt(value) : 0)).reverse()
}

/**
 * |G / g^2 - I|_F / sqrt(m) of a Gram matrix G with m eigenvalues. Without a gain, g is the gain of the nearest
 * orthogonal matrix.
 */
export function orthogonalityError(eigenvalues: Float64Array, gain?: number): number | null {
  const sum = eigenvalues.reduce((total, value) => total + value, 0)
  const squares = eigenvalues.reduce((total, value) => total + value * value, 0)
  const scale = gain === undefined ? sum / squares : 1 / gain ** 2
  if (!Number.isFinite(scale)) return null
  const error = eigenvalues.reduce((total, value) => total + (value * scale - 1) ** 2, 0)
  return Math.sqrt(error / eigenvalues.length)
}

/**
 * std (sqrt(rows) -+ sqrt(columns)): edges of the singular values of independent entries (Marchenko, Pastur 1967).
 */
function marchenkoPastur(shape: readonly number[], law: Law | null): Spectrum['marchenko_pastur'] {
  const matrix = matrixOf(shape)
  if (!matrix || !law || !isElementwise(law)) return null
  const { mean, std } = theoryOf(law, shape)
  // Symmetric bounds have a mean of 0 up to rounding.
  if (Math.abs(mean) > 1e-12 * std || !(std < Infinity)) return null
  const [rows, columns] = [Math.sqrt(matrix.rows), Math.sqrt(matrix.columns)]
  return { min: std * Math.abs(rows - columns), max: std * (rows + columns) }
}

/** Estimated operations for a spectrum: the Gram matrix, and its reduction to a tridiagonal matrix. */
export function spectrumOperations(shape: readonly number[]): number {
  const matrix = matrixOf(shape)
  if (!matrix) return 0
  const [long, short] = [Math.max(matrix.rows, matrix.columns), Math.min(matrix.rows, matrix.columns)]
  return 2 * long * short ** 2 + (4 / 3) * short ** 3
}
