import { describe, expect, test } from 'vitest'
import type { Law } from '../../../src/initializers/law.ts'
import { orthogonalityError, computeSpectrum, spectrumOperations } from '../../../src/statistics/spectrum.ts'
import {
  chooseGrid,
  operatorOperations,
  computeOperatorSpectrum,
  computePhases,
  listWaves,
} from '../../../src/statistics/operator-spectrum.ts'

const normal: Law = { kind: 'normal', mean: 0, std: 0.1 }

describe('a spectrum', () => {
  test('by hand: singular values 1, 2 and 4', () => {
    const spectrum = computeSpectrum(Float64Array.of(1, 4, 16), [2, 2, 3], null)
    expect(spectrum).toMatchObject({ singular_values: [4, 2, 1], condition_number: 4, spectral_norm: 4 })
    expect(spectrum.stable_rank).toBeCloseTo(21 / 16, 12)
    // exp of -(4/7 ln 4/7 + 2/7 ln 2/7 + 1/7 ln 1/7)
    expect(spectrum.effective_rank).toBeCloseTo(2.60049, 5)
    // Scaled by 21 / 273, the squares are 1/13, 4/13 and 16/13: distances 12/13, 9/13 and 3/13 from 1.
    expect(spectrum.orthogonality_error).toBeCloseTo(Math.sqrt((144 + 81 + 9) / 169 / 3), 12)
    expect(spectrum.marchenko_pastur).toBeNull()
  })

  test('of an orthogonal law is compared with its gain', () => {
    const law: Law = { kind: 'orthogonal', gain: -2 }
    expect(computeSpectrum(Float64Array.of(4, 4), [2, 2], law).orthogonality_error).toBe(0)
    expect(computeSpectrum(Float64Array.of(1, 1), [2, 2], law).orthogonality_error).toBeCloseTo(0.75, 12)
    expect(orthogonalityError(Float64Array.of(0, 0), 0)).toBeNull()
  })

  test('reports rounding residues as zero', () => {
    const spectrum = computeSpectrum(Float64Array.of(-1e-17, 3e-16, 1), [3, 3], null)
    expect(spectrum.singular_values).toEqual([1, 0, 0])
    expect(spectrum.condition_number).toBe(Infinity)
    const nothing = computeSpectrum(Float64Array.of(0, 0), [2, 2], null)
    expect(nothing).toMatchObject({ spectral_norm: 0, stable_rank: null, effective_rank: null })
    expect(nothing.condition_number).toBeNaN()
  })

  test('has the edges of Marchenko and Pastur for independent entries', () => {
    expect(computeSpectrum(Float64Array.of(1), [3, 3, 1, 4], normal).marchenko_pastur).toEqual({
      min: expect.closeTo(0.1, 12) as number,
      max: expect.closeTo(0.5, 12) as number,
    })
    const moved: Law = { ...normal, mean: 1 }
    expect(computeSpectrum(Float64Array.of(1), [3, 3, 1, 4], moved).marchenko_pastur).toBeNull()
  })

  test('has the cost of its Gram matrix and its eigenvalues', () => {
    expect(spectrumOperations([3, 3, 512, 512])).toBeCloseTo(2 * 4608 * 512 ** 2 + (4 / 3) * 512 ** 3, 0)
    expect(spectrumOperations([64, 256])).toBe(spectrumOperations([256, 64]))
    expect(spectrumOperations([7])).toBe(0)
  })
})

describe('the waves of a convolution', () => {
  test.each([
    [
      [3, 3, 2, 4],
      [8, 8],
    ],
    [
      [1, 1, 2, 4],
      [1, 1],
    ],
    [
      [9, 1, 2, 4],
      [9, 1],
    ],
    [
      [2, 3, 3, 2, 4],
      [8, 8, 8],
    ],
  ])('of %j cover a grid %j, with opposite frequencies counted twice', (shape, grid) => {
    expect(chooseGrid(shape)).toEqual(grid)
    const waves = listWaves(grid)
    const points = grid.reduce((product, size) => product * size, 1)
    expect(waves.reduce((sum, { weight }) => sum + weight, 0)).toBe(points)
    expect(waves.length).toBeLessThanOrEqual(points / 2 + 4)
  })

  test('are null for a shape that is not a convolution kernel', () => {
    expect([chooseGrid([3, 3]), chooseGrid([2, 2, 2, 2, 2, 2])]).toEqual([null, null])
    expect(operatorOperations([3, 3])).toBe(0)
  })

  test('have the phases of their positions', () => {
    const { cosines, sines } = computePhases([{ index: [1], weight: 2 }], [3], [8])
    const half = Math.SQRT1_2
    expect([...cosines].map((x) => Math.round(x * 1e6) / 1e6)).toEqual([1, 0.707107, 0])
    expect(sines[1]).toBeCloseTo(half, 6)
  })

  test('count by weight', () => {
    const perWave = [
      { weight: 1, values: Float32Array.of(5) },
      { weight: 2, values: Float32Array.of(1) },
    ]
    expect(computeOperatorSpectrum([3], perWave)).toMatchObject({ min: 1, max: 5, quantiles: { '0.5': 1 } })
  })
})
