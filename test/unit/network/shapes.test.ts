import { describe, expect, test } from 'vitest'
import { codeAndPointers, refusal } from '../support/errors.ts'
import { planned, small } from '../support/requests.ts'

function shapesOf(architecture: object): Record<string, readonly number[]> {
  const { layers } = planned({ architecture: small(architecture) })
  return Object.fromEntries(layers.map(({ name, outputShape }) => [name, outputShape]))
}

const names = (architecture: object) =>
  planned({ architecture: small(architecture) }).parameters.map(({ name }) => name)

const BOTTLENECK = { block: 'bottleneck', stages: [{ blocks: 2, filters: 8, strides: 2 }] }

describe('shapes', () => {
  // TensorFlow: ceil(n / s); torch: floor((n + 2 floor((k - 1) / 2) - k) / s) + 1. They differ for even windows.
  test.each([
    ['same', 7, 2, 33, 17],
    ['symmetric', 7, 2, 33, 17],
    ['same', 4, 1, 32, 32],
    ['symmetric', 4, 1, 32, 31],
    ['same', 4, 2, 32, 16],
    ['symmetric', 4, 3, 32, 11],
    ['symmetric', 1, 2, 32, 16],
  ])('%s padding, window %d, strides %d: %d to %d', (padding, size, strides, length, expected) => {
    const stem = { kernel_size: size, filters: 8, strides, padding, pool: null }
    const input_shape = [length, length, 3]
    expect(shapesOf({ stem, input_shape })['stem/conv']).toEqual([expected, expected, 8])
  })

  test('height and width are independent', () => {
    const shapes = shapesOf({ input_shape: [30, 47, 3], stages: [{ blocks: 1, filters: 5, strides: 2 }] })
    expect(shapes['stage1/block1/add']).toEqual([15, 24, 5])
    expect(shapes['head/pool']).toEqual([5])
    expect(shapes['head/dense']).toEqual([10])
  })

  test.each([
    ['v1', [16, 16, 8], [16, 16, 8]],
    ['v1.5', [32, 32, 8], [16, 16, 8]],
    ['v2', [32, 32, 8], [16, 16, 8]],
  ])('%s has the stride in its own convolution', (version, first, second) => {
    const shapes = shapesOf({ ...BOTTLENECK, version })
    expect(shapes['stage1/block1/conv1']).toEqual(first)
    expect(shapes['stage1/block1/conv2']).toEqual(second)
    expect(shapes['stage1/block1/conv3']).toEqual([16, 16, 32])
    expect(shapes['stage1/block2/conv1']).toEqual([16, 16, 8])
  })

  test('a stage may have strides in its last block', () => {
    const shapes = shapesOf({ ...BOTTLENECK, strides_in: 'last' })
    expect(shapes['stage1/block1/add']).toEqual([32, 32, 32])
    expect(shapes['stage1/block2/conv1']).toEqual([32, 32, 8])
    expect(shapes['stage1/block2/add']).toEqual([16, 16, 32])
  })

  test('shortcut pool projects when channels change, and pools when only the size changes', () => {
    const { layers } = planned({
      architecture: small({ ...BOTTLENECK, strides_in: 'last', shortcut: 'pool' }),
    })
    const shortcuts = layers.filter(({ name }) => name.includes('/shortcut/'))
    expect(shortcuts.map(({ name, op, outputShape }) => [name, op, outputShape])).toEqual([
      ['stage1/block1/shortcut/conv', 'conv2d', [32, 32, 32]],
      ['stage1/block1/shortcut/norm', 'batch_norm', [32, 32, 32]],
      ['stage1/block2/shortcut/pool', 'max_pool', [16, 16, 32]],
    ])
    const both = shapesOf({ stages: [{ blocks: 1, filters: 9, strides: 2 }], shortcut: 'pool' })
    expect(both['stage1/block1/shortcut/conv']).toEqual([16, 16, 9])
  })

  test('unnormed biases exist where a norm is not the only reader', () => {
    const biases = (architecture: object) =>
      names({ use_bias: 'unnormed', ...architecture }).filter((name) => /conv\d?\/bias$/.test(name))
    expect(biases({ version: 'v2', block: 'bottleneck' })).toEqual([
      ...['stem/conv/bias', 'stage1/block1/conv3/bias', 'stage1/block1/shortcut/conv/bias'],
    ])
    expect(biases({})).toEqual([])
    expect(biases({ norm: 'none' })).toEqual(
      names({ norm: 'none' }).filter((name) => /conv\d?\/bias$/.test(name)),
    )
  })

  test('v2 normalizes before convolutions and before the head', () => {
    const order = names({ ...BOTTLENECK, version: 'v2' }).filter((name) => /kernel|gamma/.test(name))
    expect(order.slice(0, 8)).toEqual([
      'stem/conv/kernel',
      ...['norm1/gamma', 'conv1/kernel', 'norm2/gamma', 'conv2/kernel', 'norm3/gamma', 'conv3/kernel'].map(
        (name) => `stage1/block1/${name}`,
      ),
      'stage1/block1/shortcut/conv/kernel',
    ])
    expect(order.slice(-2)).toEqual(['head/norm/gamma', 'head/dense/kernel'])
  })

  test('biases belong to their layers', () => {
    const { layers } = planned({ architecture: small({ use_bias: true }) })
    const convolution = layers.find(({ name }) => name === 'stage1/block1/conv2')
    expect(convolution?.parameters.map(({ name }) => name)).toEqual([
      ...['stage1/block1/conv2/kernel', 'stage1/block1/conv2/bias'],
    ])
    expect(names({}).filter((name) => name.endsWith('/bias'))).toEqual(['head/dense/bias'])
    expect(names({ norm: 'none' })).toContain('stem/conv/bias')
    expect(names({ norm: 'none', use_bias: false })).not.toContain('stem/conv/bias')
    expect(names({ norm: 'none' }).some((name) => name.includes('norm'))).toBe(false)
  })

  test('the time to plan a network does not grow with the square of its layers', () => {
    const stages = Array.from({ length: 64 }, () => ({ blocks: 128, filters: 1 }))
    const started = performance.now()
    expect(planned({ architecture: small({ stages, norm: 'none' }) }).layers.length).toBeGreaterThan(40_000)
    expect(performance.now() - started).toBeLessThan(60_000)
  })
})

describe('shortcuts', () => {
  const stages = [8, 8, 16].map((filters) => ({ blocks: 2, filters }))
  const projected = (shortcut: unknown) =>
    names({ stages, ...(shortcut === undefined ? {} : { shortcut }) })
      .filter((name) => name.endsWith('/shortcut/conv/kernel'))
      .map((name) => name.replace('/shortcut/conv/kernel', ''))
  const all = [1, 2, 3].flatMap((stage) =>
    [1, 2].map((block) => `stage${String(stage)}/block${String(block)}`),
  )

  test.each([
    [undefined, ['stage3/block1']],
    ['projection', ['stage3/block1']],
    ['always', all],
    [
      ['always', 'never', 'projection'],
      [...all.slice(0, 2), 'stage3/block1'],
    ],
  ])('%j projects in %j', (shortcut, expected) => {
    expect(projected(shortcut)).toEqual(expected)
  })

  test('never is rejected when shapes change, with the block, both shapes and the cure', () => {
    const error = refusal(() => projected('never'))
    expect(codeAndPointers(error)).toEqual(['SHAPE_MISMATCH', '#/architecture/shortcut'])
    expect(error.message).toBe(
      'stage3/block1: the branch gives 32x32x16 and the shortcut 32x32x8, which have different shapes; "shortcut": "projection" (or "always" for this stage) puts a 1x1 convolution into it',
    )
  })

  test('a list needs one rule per stage', () => {
    const error = refusal(() => projected(['always']))
    expect(codeAndPointers(error)).toEqual(['INVALID_REQUEST', '#/architecture/shortcut'])
    expect(error.message).toContain('one rule per stage (3), got 1')
  })
})

describe('windows', () => {
  test.each([
    [
      { head: { pool: { type: 'average', size: 33 } } },
      'head/pool: a 33x33 window does not fit into 32x32x8',
    ],
    [
      { input_shape: [32, 5, 3], head: { pool: { type: 'max' } } },
      'head/pool: a 7x7 window does not fit into 32x5x8',
    ],
  ])('%j does not fit', (architecture, words) => {
    const error = refusal(() => planned({ architecture: small(architecture) }))
    expect(codeAndPointers(error)).toEqual(['SHAPE_MISMATCH', '#/architecture'])
    expect(error.message).toContain(words)
    expect(error.message).toContain('use a larger input_shape, a smaller window or smaller strides')
  })

  test('a pool of the map itself fits', () => {
    const { layers } = planned({ architecture: small({ head: { pool: { type: 'average', size: 32 } } }) })
    expect(layers.find(({ name }) => name === 'head/flatten')?.outputShape).toEqual([8])
  })
})
