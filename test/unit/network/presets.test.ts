import { describe, expect, test } from 'vitest'
import { presets } from '../../../src/network/architectures.ts'
import { isBuffer } from '../../../src/network/parameters.ts'
import { codeAndPointers, refusal } from '../support/errors.ts'
import { planned } from '../support/requests.ts'

/** Trainable parameters by torchvision and keras.applications; by hand for the 32x32 networks (with projections) and the article's. */
const parameters: Record<string, number> = {
  residual_network: 125_139_048,
  resnet18: 11_689_512,
  resnet34: 21_797_672,
  resnet50: 25_557_032,
  resnet101: 44_549_160,
  resnet152: 60_192_808,
  resnet50_v1: 25_583_592,
  resnet101_v1: 44_601_832,
  resnet152_v1: 60_268_520,
  resnet50_v2: 25_568_360,
  resnet101_v2: 44_577_896,
  resnet152_v2: 60_236_904,
  resnet20: 272_474,
  resnet32: 466_906,
  resnet44: 661_338,
  resnet56: 855_770,
  resnet110: 1_730_714,
}

describe('presets', () => {
  test('are complete', () => {
    expect(Object.keys(presets).sort()).toEqual(Object.keys(parameters).sort())
  })

  test.each(Object.entries(parameters))('%s has %d parameters', (architecture, count) => {
    expect(planned({ architecture }).totals.parameters).toBe(count)
  })

  // `count_params()` of keras.applications.
  test.each([
    ['resnet50_v1', 25_636_712],
    ['resnet101_v1', 44_707_176],
    ['resnet152_v1', 60_419_944],
    ['resnet50_v2', 25_613_800],
    ['resnet101_v2', 44_675_560],
    ['resnet152_v2', 60_380_648],
  ])('%s has %d with its buffers', (architecture, count) => {
    expect(planned({ architecture }).totals.bytes).toBe(4 * count)
  })

  // fvcore's FlopCountAnalysis of torchvision's networks counts a fused multiply and add as one.
  test.each([
    ['resnet18', 1_814_073_344],
    ['resnet50', 4_089_184_256],
  ])('%s needs %d multiply-adds', (architecture, count) => {
    expect(planned({ architecture }).totals.multiplyAdds).toBe(count)
  })

  test('resnet50 names its parameters in the order of its layers', () => {
    const { parameters: all } = planned({ architecture: 'resnet50' })
    const trainable = all.filter((parameter) => !isBuffer(parameter)).map(({ name }) => name)
    expect(trainable).toHaveLength(161)
    expect(trainable.slice(0, 15)).toEqual([
      ...['stem/conv/kernel', 'stem/norm/gamma', 'stem/norm/beta'],
      ...['conv1/kernel', 'norm1/gamma', 'norm1/beta'].map((name) => `stage1/block1/${name}`),
      ...['conv2/kernel', 'norm2/gamma', 'norm2/beta'].map((name) => `stage1/block1/${name}`),
      ...['conv3/kernel', 'norm3/gamma', 'norm3/beta'].map((name) => `stage1/block1/${name}`),
      ...['shortcut/conv/kernel', 'shortcut/norm/gamma', 'shortcut/norm/beta'].map(
        (name) => `stage1/block1/${name}`,
      ),
    ])
    expect(trainable.slice(-2)).toEqual(['head/dense/kernel', 'head/dense/bias'])
    expect(trainable.filter((name) => name.includes('/shortcut/conv/'))).toHaveLength(4)
    expect(new Set(trainable).size).toBe(trainable.length)
  })

  test('buffers are stored but not counted', () => {
    const { parameters: all, totals, initialized } = planned({ architecture: 'resnet20' })
    const moving = all.filter(isBuffer)
    const sizes = moving.reduce((sum, { shape }) => sum + (shape[0] ?? 0), 0)
    expect(moving.map(({ name }) => name).slice(0, 2)).toEqual([
      'stem/norm/moving_mean',
      'stem/norm/moving_variance',
    ])
    expect(totals.bytes).toBe(4 * (totals.parameters + sizes))
    expect(initialized.some(isBuffer)).toBe(false)
  })

  test("the advice on the article's network names its dense layer", () => {
    const { advice, layers } = planned({ architecture: 'residual_network' })
    expect(layers.find(({ name }) => name === 'head/pool')?.outputShape).toEqual([22, 22, 256])
    expect(advice).toEqual([expect.stringContaining('123.9 of the 125.1 million parameters')])
    expect(planned({ architecture: 'resnet50' }).advice).toEqual([])
  })

  test('an unknown preset is rejected with the nearest name', () => {
    const error = refusal(() => planned({ architecture: 'resnet5' }))
    expect(codeAndPointers(error)).toEqual(['INVALID_REQUEST', '#/architecture'])
    expect(error.message).toMatch(/did you mean "resnet\d+"\?/)
    const nested = refusal(() => planned({ architecture: { preset: 'toString' } }))
    expect(codeAndPointers(nested)).toEqual(['INVALID_REQUEST', '#/architecture/preset'])
  })

  test('overrides replace fields of a preset', () => {
    const architecture = { preset: 'resnet18', stem: { filters: 32 }, norm: { epsilon: 0.001 } }
    const { specification } = planned({ architecture, classes: 7 })
    expect(specification.architecture.stem).toMatchObject({
      kernel_size: 7,
      filters: 32,
      padding: 'symmetric',
    })
    expect(specification.architecture.norm).toEqual({ type: 'batch', epsilon: 0.001, momentum: 0.9 })
    expect(specification.architecture.head.units).toBe(7)
  })

  test("a norm given as a string has the preset's numbers", () => {
    const normOf = (norm: unknown) =>
      planned({ architecture: { preset: 'residual_network', norm } }).specification.architecture.norm
    expect(normOf('batch')).toEqual({ type: 'batch', epsilon: 0.001, momentum: 0.99 })
    expect(normOf({ type: 'batch' })).toEqual(normOf('batch'))
    expect(normOf('none')).toEqual({ type: 'none', epsilon: 1e-5, momentum: 0.9 })
  })
})

describe('MAX_MODEL_PARAMETERS', () => {
  test('is the maximum number of parameters', () => {
    expect(planned({ architecture: 'resnet20' }, 272_474).totals.parameters).toBe(272_474)
    const error = refusal(() => planned({ architecture: 'resnet20' }, 272_473))
    expect(codeAndPointers(error)).toEqual(['MODEL_TOO_LARGE', '#/architecture'])
    expect(error.message).toContain('272,474 parameters, more than the limit of 272,473')
  })

  test('is checked before anything large is created', () => {
    const stages = Array.from({ length: 64 }, () => ({ blocks: 64, filters: 65_536 }))
    expect(refusal(() => planned({ architecture: { stages } })).code).toBe('MODEL_TOO_LARGE')
  })
})
