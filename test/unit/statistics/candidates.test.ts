import { describe, expect, test } from 'vitest'
import { theoryOf } from '../../../src/initializers/law.ts'
import { candidatesFor, type Layout } from '../../../src/statistics/candidates.ts'

/** The laws of the candidates of a class, by their standard deviations. */
function deviations(shape: number[], layout: Layout, name: string): number[] {
  return candidatesFor(shape, layout)
    .filter(({ initializer }) => initializer.class_name === name)
    .map(({ law }) => theoryOf(law, shape).std)
}

describe('candidates', () => {
  test('of attention kernels compute fans as a convolution, and as a matrix split at every axis', () => {
    // [128, 8, 16] as 128 windows of [8, 16], from 128 to [8, 16], from [128, 8] to 16.
    const pairs = [128 * (8 + 16), 128 + 8 * 16, 128 * 8 + 16]
    const found = deviations([128, 8, 16], 'keras', 'GlorotUniform')
    expect(found).toHaveLength(3)
    for (const sum of pairs) expect(found).toContainEqual(expect.closeTo(Math.sqrt(2 / sum), 12))
  })

  test("of torch's kernels and of matrices have one pair of fans", () => {
    expect(deviations([32, 16, 3], 'torch', 'GlorotUniform')).toEqual([
      expect.closeTo(Math.sqrt(2 / (3 * 48)), 12),
    ])
    expect(deviations([64, 32], 'keras', 'GlorotUniform')).toHaveLength(1)
  })

  test('of a recurrent cell have the bound of its hidden units', () => {
    const bounds = (shape: number[], layout: Layout) =>
      candidatesFor(shape, layout).map(({ initializer }) => initializer.config['maxval'])
    expect(bounds([384, 20], 'torch')).toEqual(
      expect.arrayContaining([96, 128, 384].map((n) => 1 / Math.sqrt(n))),
    )
    expect(bounds([384], 'keras')).toContain(1 / Math.sqrt(96))
    expect(bounds([384, 20], 'keras')).not.toContain(1 / Math.sqrt(96))
  })

  test('of Haiku and Sonnet are truncated normals that are not widened', () => {
    expect(deviations([64, 32], 'keras', 'TruncatedNormal')).toContainEqual(expect.closeTo(0.87962566 / 8, 6))
  })
})
