import { describe, expect, it } from 'vitest'
import { predictField } from '../../../src/analysis/worker/mean-field.ts'
import { affordableMemory, signalMemory } from '../../../src/analysis/memory-estimate.ts'
import { windowTaps } from '../../../src/network/geometry.ts'
import { planRequest } from '../../../src/network/plan.ts'
import { preprocess } from '../../../src/network/preprocessing.ts'
import { channelMoments, deadFraction } from '../../../src/statistics/channels.ts'
import { distanceFromOne, estimate, rankIntervals } from '../../../src/statistics/interval.ts'
import { judge } from '../../../src/statistics/verdict.ts'
import { tiny } from '../../support/networks.ts'

const between = (low: number, high: number) => ({ mean: (low + high) / 2, interval: [low, high] as const })

describe('an estimate', () => {
  it("is the mean and Student's interval", () => {
    // scipy.stats.t.interval(0.95, 3, 2.5, scipy.stats.sem([1, 2, 3, 4]))
    const { mean, interval } = estimate([1, 2, 3, 4])
    expect(mean).toBe(2.5)
    expect(interval?.map((end) => end.toFixed(6))).toEqual(['0.445740', '4.554260'])
  })

  it('of one value has no interval', () => {
    expect(estimate([3])).toEqual({ mean: 3, interval: null })
  })
})

describe('ranks', () => {
  it('are shared by overlapping intervals', () => {
    expect(rankIntervals([between(5, 6), between(1, 3), between(2, 4), between(3.5, 5.5)])).toEqual([
      3, 1, 1, 2,
    ])
  })

  it('are equal without intervals, and NaN is last', () => {
    expect(rankIntervals([{ mean: 1, interval: null }, between(7, 8)])).toEqual([1, 1])
    expect(rankIntervals([{ mean: NaN, interval: [NaN, NaN] }, between(7, 8)])).toEqual([2, 1])
  })

  it('of a ratio follow its distance from 1 in both directions', () => {
    const [low = NaN, high = NaN] = distanceFromOne(between(2, 4)).interval ?? []
    expect([low, high]).toEqual([Math.log(2), Math.log(4)])
    expect(distanceFromOne(between(0.25, 0.5)).interval).toEqual([low, high])
    expect(distanceFromOne(between(0.5, 4)).interval).toEqual([0, Math.log(4)])
  })
})

describe('the verdict', () => {
  it.each([
    ['exploding', between(31, 40)],
    ['undecided', between(29, 40)],
    ['stable', between(1 / 29, 29)],
    ['undecided', between(1 / 40, 1)],
    ['vanishing', between(1 / 60, 1 / 31)],
    ['exploding', { mean: Infinity, interval: null }],
    ['exploding', { mean: NaN, interval: [NaN, NaN] as const }],
    ['stable', { mean: 1, interval: null }],
  ] as const)('is %s', (verdict, ratio) => {
    expect(judge(ratio, 'the sum')).toMatchObject({
      verdict,
      reason: expect.stringContaining('the sum') as string,
    })
  })
})

describe('channel moments', () => {
  const values = Float32Array.of(1, -1, 3, -5, 5, -9)

  it('cover all elements, and single channels', () => {
    // Channels: 1, 3, 5 and -1, -5, -9.
    const { mean, variance, averageSquaredMean, averageVariance } = channelMoments(values, 2)
    expect(mean).toBeCloseTo(-1, 12)
    expect(variance).toBeCloseTo((4 + 0 + 16 + 16 + 36 + 64) / 6, 12)
    expect(averageSquaredMean).toBeCloseTo((9 + 25) / 2, 12)
    expect(averageVariance).toBeCloseTo((8 / 3 + 32 / 3) / 2, 12)
  })

  it('count a channel without a positive value as dead', () => {
    expect(deadFraction(values, 2)).toBe(0.5)
    expect(deadFraction(values, 1)).toBe(0)
    expect(deadFraction(Float32Array.of(0, NaN, -1, -1), 2)).toBe(0.5)
  })
})

describe('mean field', () => {
  const field = (architecture: object, kernel: unknown = 'he_normal') =>
    predictField(
      planRequest(
        {
          ...tiny,
          architecture: { ...tiny.architecture, ...architecture },
          initializers: { kernel },
        } as never,
        1e9,
      ),
    )
  /** One pixel and 1x1 windows: the textbook's fully connected layers. */
  const plain = {
    stem: { kernel_size: 1, filters: 400, strides: 1, pool: null },
    kernel_size: 1,
    input_shape: [1, 1, 3],
    norm: 'none',
  }

  it('of a critical network keeps the variance of a branch, and adds the shortcut', () => {
    const { q = [], chi_1 = [] } =
      field({ ...plain, stages: [{ blocks: 1, filters: 400 }], shortcut: 'always' }) ?? {}
    // sw2 = 2: the stem has q = 2, each convolution after a ReLU keeps it, and the sum has two of them.
    expect(q[0]).toBeCloseTo(4, 6)
    expect(chi_1[0]).toBeCloseTo(2, 6)
  })

  it("of an identity adds the ReLU's output", () => {
    const { q = [], chi_1 = [] } = field({ ...plain, stages: [{ blocks: 1, filters: 400 }] }) ?? {}
    // Var(ReLU(N(0, 2))) = 2 (1 - 1 / pi) / 2, and half of every disturbance passes.
    expect(q[0]).toBeCloseTo(2 + (1 - 1 / Math.PI), 6)
    expect(chi_1[0]).toBeCloseTo(1.5, 6)
  })

  it('has the maximum of four independent normals', () => {
    const pool = { type: 'max', size: 2, strides: 2, padding: 'valid' }
    const architecture = {
      ...plain,
      stem: { ...plain.stem, pool },
      input_shape: [2, 2, 3],
      stages: [{ blocks: 1, filters: 400 }],
      shortcut: 'always',
    }
    // E[max(0, Z1 .. Z4)^2] of standard normals: 1.5437 over 10^7 draws of numpy's.
    const { q = [] } = field(architecture) ?? {}
    expect((q[0] ?? 0) / 2 / 2 / 2).toBeCloseTo(1.5437, 3)
  })

  it('is null with norms, or kernels with a nonzero mean', () => {
    expect(field({})).toBeNull()
    expect(field({ norm: 'none' }, { class_name: 'Constant', config: { value: 1 } })).toBeNull()
  })
})

it('windows have the taps inside the image', () => {
  expect(windowTaps(4, { size: 3, strides: 2, padding: 'same' })).toEqual([
    [0, 1, 2],
    [2, 3],
  ])
  expect(windowTaps(4, { size: 3, strides: 2, padding: { symmetric: 1 } })).toEqual([
    [0, 1],
    [1, 2, 3],
  ])
  expect(windowTaps(4, { size: 3, strides: 1, padding: 'valid' })).toEqual([
    [0, 1, 2],
    [1, 2, 3],
  ])
})

it("pixels become the network's input, in its channel order", () => {
  const preprocessing = {
    scale: 0.5,
    mean: [1, 2, 3],
    std: [1, 2, 4],
    channel_order: 'bgr',
    resize: null,
  } as const
  expect([
    ...preprocess(Uint8Array.of(10, 20, 30, 0, 0, 2), {
      ...preprocessing,
      mean: [...preprocessing.mean],
      std: [...preprocessing.std],
    }),
  ]).toEqual([14, 4, 0.5, 0, -1, -0.75])
})

describe('memory', () => {
  const plan = planRequest({ architecture: 'resnet20' }, 1e9)

  it('grows with the batch, starting from the weights', () => {
    const [none, one, nine] = [0, 1, 9].map((batch) => signalMemory(plan, batch))
    expect(none).toBe(3 * plan.totals.bytes)
    expect((nine ?? 0) - (none ?? 0)).toBe(9 * ((one ?? 0) - (none ?? 0)))
  })

  it('above the limit is rejected with the largest batch that fits', () => {
    const budget = signalMemory(plan, 5)
    expect(affordableMemory(plan, 5, budget, '#/batch_size')).toBe(budget)
    expect(() => affordableMemory(plan, 6, budget, '#/batch_size')).toThrow(/at most 5 images/)
    expect(() => affordableMemory(plan, 1, 1000, '#/batch_size')).toThrow(/smaller network/)
  })
})
