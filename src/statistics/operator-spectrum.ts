import Type, { type Static } from 'typebox'
import { computeQuantiles } from './histogram.ts'

/** Frequencies along a dimension of the input, unless the kernel is longer. */
const GRID = 8
/** Cost of a sine and a cosine, in multiplications and additions. */
const PHASE = 100
/** Real operations per complex multiplication and addition. */
const COMPLEX = 4

/** Singular values of the convolution itself, stride 1 and circular padding (Sedghi et al. 2019, arXiv:1805.10408). */
export const OperatorSpectrum = Type.Object({
  grid: Type.Array(Type.Integer(), {
    description:
      'Size of the input: 8, or the kernel size if larger; 1 along dimensions with one tap, whose frequencies are equal',
  }),
  min: Type.Number(),
  max: Type.Number(),
  quantiles: Type.Record(Type.String(), Type.Number()),
})
export type OperatorSpectrum = Static<typeof OperatorSpectrum>

/**
 * A frequency of the grid by its index along every dimension, and the number of frequencies with the same singular
 * values.
 */
export interface Wave {
  readonly index: readonly number[]
  readonly weight: 1 | 2
}

/** The grid of a kernel; null if the shape is not a convolution kernel (rank 3 to 5). */
export function chooseGrid(shape: readonly number[]): number[] | null {
  if (shape.length < 3 || shape.length > 5) return null
  return shape.slice(0, -2).map((size) => (size === 1 ? 1 : Math.max(GRID, size)))
}

/**
 * The frequencies of a grid. Opposite frequencies of a real kernel have conjugate matrices, so one of the two is
 * omitted.
 */
export function listWaves(grid: readonly number[]): Wave[] {
  const seen = new Set<string>()
  return listIndices(grid).flatMap((index): Wave[] => {
    const opposite = index.map((k, axis) => ((grid[axis] ?? 1) - k) % (grid[axis] ?? 1)).join()
    seen.add(index.join())
    if (opposite === index.join()) return [{ index, weight: 1 }]
    return seen.has(opposite) ? [] : [{ index, weight: 2 }]
  })
}

/**
 * At one frequency, a convolution is one [in, out] matrix: the Fourier transform of its taps. Returns the cosines
 * and sines of the phases, [frequencies, taps] each.
 */
export function computePhases(waves: readonly Wave[], window: readonly number[], grid: readonly number[]) {
  const taps = listIndices(window)
  const phases = waves.flatMap(({ index }) =>
    taps.map((tap) => {
      const turns = index.reduce((sum, k, axis) => sum + (k * (tap[axis] ?? 0)) / (grid[axis] ?? 1), 0)
      return 2 * Math.PI * turns
    }),
  )
  return { cosines: Float32Array.from(phases, Math.cos), sines: Float32Array.from(phases, Math.sin) }
}

function listIndices(sizes: readonly number[]): number[][] {
  return sizes.reduce<number[][]>(
    (prefixes, size) =>
      prefixes.flatMap((prefix) => Array.from({ length: size }, (_, index) => [...prefix, index])),
    [[]],
  )
}

/** Combines the singular values of all frequencies. */
export function computeOperatorSpectrum(
  grid: readonly number[],
  perWave: readonly { readonly weight: number; readonly values: Float32Array }[],
): OperatorSpectrum {
  const values = Float32Array.from(
    perWave.flatMap(({ weight, values }) => Array.from({ length: weight }, () => [...values]).flat()),
  )
  const [min, max] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))]
  return { grid: [...grid], min, max, quantiles: computeQuantiles(values) }
}

/** Estimated real operations for the singular values of all frequencies. */
export function operatorOperations(shape: readonly number[]): number {
  const grid = chooseGrid(shape)
  if (!grid) return 0
  const [inputs = 1, outputs = 1] = shape.slice(-2)
  const [long, short] = [Math.max(inputs, outputs), Math.min(inputs, outputs)]
  const taps = shape.slice(0, -2).reduce((product, size) => product * size, 1)
  const waves = grid.reduce((product, size) => product * size, 1) / 2 + 1
  const phases = waves * taps * (PHASE + 4 * inputs * outputs)
  return phases + waves * COMPLEX * (2 * long * short ** 2 + (4 / 3) * short ** 3)
}
