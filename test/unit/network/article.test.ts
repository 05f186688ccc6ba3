import { describe, expect, test } from 'vitest'
import { codeAndPointers, refusal } from '../support/errors.ts'
import { planned } from '../support/requests.ts'

const article = (parameters: object) =>
  planned({ architecture: { preset: 'residual_network', ...parameters } })
const stagesOf = (parameters: object) => article(parameters).specification.architecture.stages
const projected = (parameters: object) =>
  article(parameters)
    .parameters.map(({ name }) => name)
    .filter((name) => name.endsWith('/shortcut/conv/kernel'))
    .map((name) => name.split('/')[0])

describe("the article's parameters", () => {
  test("with the article's values give the article's network", () => {
    const { id } = planned({ architecture: 'residual_network' })
    const given = { filters: [64, 128, 256], strides: [1, 2, 2], kernel_size: 3, projection_shortcut: 'auto' }
    expect(article(given).id).toBe(id)
    expect(article({}).id).toBe(id)
  })

  test('filters and strides are stages of one block', () => {
    expect(stagesOf({ filters: [8, 16], strides: [2, 1] })).toEqual([
      { blocks: 1, filters: 8, strides: 2 },
      { blocks: 1, filters: 16, strides: 1 },
    ])
    expect(stagesOf({ filters: [8, 16, 32] }).map(({ strides }) => strides)).toEqual([1, 2, 2])
    expect(stagesOf({ strides: [4, 2, 2] }).map(({ filters }) => filters)).toEqual([64, 128, 256])
  })

  test.each([
    ['auto', ['stage2', 'stage3']],
    [true, ['stage1', 'stage2', 'stage3']],
    [
      [false, true, true],
      ['stage2', 'stage3'],
    ],
    [
      [true, true, true],
      ['stage1', 'stage2', 'stage3'],
    ],
  ])('projection_shortcut %j projects in %j', (projection_shortcut, expected) => {
    expect(projected({ projection_shortcut })).toEqual(expected)
  })

  test.each([[false], [[false, false, true]]])(
    'projection_shortcut %j is rejected with the block, both shapes and the cure',
    (projection_shortcut) => {
      const error = refusal(() => article({ projection_shortcut }))
      expect(codeAndPointers(error)).toEqual(['SHAPE_MISMATCH', '#/architecture/projection_shortcut'])
      expect(error.message).toBe(
        'stage2/block1: the branch gives 56x56x128 and the shortcut 112x112x64, which have different shapes; "projection_shortcut": "auto" (or true for this stage) puts a 1x1 convolution into the shortcut',
      )
    },
  )

  test.each([
    [{ filters: [8, 16] }, '#/architecture/strides', 'as many as filters (2), got 3'],
    [{ filters: [8], strides: [1, 2] }, '#/architecture/strides', 'as many as filters (1), got 2'],
    [{ filters: [8], stages: [{ blocks: 1, filters: 8 }] }, '#/architecture/stages', 'contradicts filters'],
    [
      { projection_shortcut: true, shortcut: 'always' },
      '#/architecture/shortcut',
      'contradicts projection_shortcut',
    ],
    [{ projection_shortcut: [true] }, '#/architecture/projection_shortcut', 'per stage (3), got 1'],
    [{ projection_shortcut: 'never' }, '#/architecture/projection_shortcut', 'must be'],
    [{ filters: [0, 1, 2] }, '#/architecture/filters/0', 'must be >= 1, got 0'],
  ])('%j is rejected', (parameters, pointer, words) => {
    const error = refusal(() => article(parameters))
    expect(codeAndPointers(error)).toEqual(['INVALID_REQUEST', pointer])
    expect(error.message).toContain(words)
  })

  test.each([
    [{ filters: [8, 16, 32, 64] }, 'filters', 'stages'],
    [{ strides: [1, 1, 1, 1] }, 'strides', 'stages'],
    [{ projection_shortcut: 'auto' }, 'projection_shortcut', 'shortcut'],
  ])('%j is accepted with its own preset only', (parameters, field, instead) => {
    const error = refusal(() => planned({ architecture: { preset: 'resnet18', ...parameters } }))
    expect(codeAndPointers(error)).toEqual(['INVALID_REQUEST', `#/architecture/${field}`])
    expect(error.message).toContain(`use "${instead}"`)
  })
})
