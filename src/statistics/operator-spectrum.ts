import Type, { type Static } from 'typebox'
import { computeQuantiles } from './histogram.ts'

/** Waves along a dimension of the input, unless the kernel is longer. */
const GRID = 8
/** A sine and a cosine take as long as so many multiplications and additions. */
const PHASE = 100
/** Complex multiplications and additions are four real ones each. */
const COMPLEX = 4

/** Singular values of the convolution itself, stride 1 and circular padding (Sedghi et al. 2019, arXiv:1805.10408). */
export const OperatorSpectrum = Type.Object({
  grid: Type.Array(Type.Integer(), {
    description:
      'Size of the input: 8 or the kernel where it is longer; 1 along dimensions of one tap, which are alike',
  }),
  min: Type.Number(),
  max: Type.Number(),
  quantiles: Type.Record(Type.String(), Type.Number()),
})
export type OperatorSpectrum = Static<typeof OperatorSpectrum>

/** A wave of the grid by its index along every dimension, and how many waves share its singular values. */
export interface Wave {
  readonly index: readonly number[]
  readonly weight: 1 | 2
}

/** The grid a kernel acts on; null where the shape is no convolution kernel (rank 3 to 5). */
export function chooseGrid(shape: readonly number[]): number[] | null {
  if (shape.length < 3 || shape.length > 5) return null
  return shape.slice(0, -2).map((size) => (size === 1 ? 1 : Math.max(GRID, size)))
}

/** The waves of a grid. A real kernel gives opposite ones conjugate matrices, so one of two is left out. */
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
 * On a wave, a convolution acts as one [in, out] matrix: the taps summed with the wave's phases, which is their Fourier
 * transform. These are the cosines and sines of the phases, [waves, taps] each.
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

/** The answer from each wave's singular values. */
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

/** What the singular values of all waves take, about, in real operations. */
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
