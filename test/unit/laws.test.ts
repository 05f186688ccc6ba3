import { describe, expect, test } from 'vitest'
import { fansOf } from '../../src/initializers/fans.ts'
import { affineOf, theoryOf, TRUNCATION_STD, type ElementwiseLaw } from '../../src/initializers/law.ts'
import { varianceScaling } from '../../src/initializers/variance-scaling.ts'
import { drawLaw } from './support/oracle.ts'

const laws: readonly ElementwiseLaw[] = [
  { kind: 'uniform', low: -0.05, high: 0.05 },
  { kind: 'uniform', low: 1, high: 4 },
  { kind: 'normal', mean: 0, std: 0.05 },
  { kind: 'normal', mean: -1.1, std: 2 },
  { kind: 'truncated_normal', mean: 0, std: 0.05 },
  { kind: 'truncated_normal', mean: 0.3, std: 1.7 },
]

const SHAPE = [3, 3, 64, 128]

/** Moments of a law's density by the midpoint rule, with nothing taken from the source but the law's numbers. */
function integrated(law: ElementwiseLaw) {
  const [low, high, density] = densityOf(law)
  const steps = 200_000
  const width = (high - low) / steps
  const integral = (value: (x: number) => number): number => {
    let sum = 0
    for (let i = 0; i < steps; i++) sum += value(low + (i + 0.5) * width) * density(low + (i + 0.5) * width)
    return sum * width
  }
  const mass = integral(() => 1)
  const mean = integral((x) => x) / mass
  const central = (power: number) => integral((x) => (x - mean) ** power) / mass
  const variance = central(2)
  return { mean, variance, skewness: central(3) / variance ** 1.5, kurtosis: central(4) / variance ** 2 - 3 }
}

function densityOf(law: ElementwiseLaw): [number, number, (x: number) => number] {
  if (law.kind === 'uniform') return [law.low, law.high, () => 1]
  const { mean, std } = law
  const reach = law.kind === 'normal' ? 12 : 2
  return [mean - reach * std, mean + reach * std, (x) => Math.exp(-(((x - mean) / std) ** 2) / 2)]
}

describe('theory of independent entries', () => {
  test.each(laws)('is the integral of the density: %o', (law) => {
    const theory = theoryOf(law, SHAPE)
    const moments = integrated(law)
    expect(theory.distribution).toBe(law.kind)
    expect(theory.mean).toBeCloseTo(moments.mean, 9)
    expect(theory.variance / moments.variance).toBeCloseTo(1, 8)
    expect(theory.std ** 2).toBeCloseTo(theory.variance, 12)
    expect(theory.skewness).toBeCloseTo(moments.skewness, 8)
    expect(theory.kurtosis).toBeCloseTo(moments.kurtosis, 8)
  })

  test.each(laws)('bounds the draws, and tightly where there is a bound: %o', (law) => {
    const { min, max, std } = theoryOf(law, SHAPE)
    const values = drawLaw(law, 20_000, [42, 0])
    if (law.kind === 'normal') {
      expect([min, max]).toEqual([null, null])
      return
    }
    const rounding = 1e-6 * std
    const low = min ?? NaN
    const high = max ?? NaN
    expect(Math.min(...values)).toBeGreaterThanOrEqual(low - rounding)
    expect(Math.max(...values)).toBeLessThanOrEqual(high + rounding)
    expect(Math.min(...values)).toBeLessThan(low + 0.02 * std)
    expect(Math.max(...values)).toBeGreaterThan(high - 0.02 * std)
  })

  test('rounds both bounds of a uniform before it takes their difference', () => {
    const { scale, offset } = affineOf({ kind: 'uniform', low: -0.1, high: 2.7 })
    expect(offset).toBe(Math.fround(-0.1))
    expect(scale).toBe(Math.fround(Math.fround(2.7) - Math.fround(-0.1)))
  })
})

describe('theory of other laws', () => {
  test('constants have no spread', () => {
    expect(theoryOf({ kind: 'constant', value: 3 }, [4])).toEqual({
      ...{ distribution: 'constant', mean: 3, std: 0, variance: 0, min: 3, max: 3 },
      ...{ skewness: null, kurtosis: null },
    })
  })

  test.each([
    [[5, 5], 2],
    [[7, 3], -0.5],
    [[1, 64], 0.7],
  ])('an identity of shape %j and gain %d has the moments of its entries', (shape, gain) => {
    const [rows = 0, columns = 0] = shape
    const entries = Array.from({ length: rows * columns }, (_, i) =>
      Math.floor(i / columns) === i % columns ? gain : 0,
    )
    const mean = entries.reduce((sum, value) => sum + value, 0) / entries.length
    const variance = entries.reduce((sum, value) => sum + (value - mean) ** 2, 0) / entries.length
    const theory = theoryOf({ kind: 'identity', gain }, shape)
    expect(theory.mean).toBeCloseTo(mean, 12)
    expect(theory.variance).toBeCloseTo(variance, 12)
    expect([theory.min, theory.max]).toEqual([Math.min(...entries), Math.max(...entries)])
  })

  test.each([
    [[64, 16], 64],
    [[16, 64], 64],
    [[3, 3, 16, 200], 200],
    [[3, 3, 64, 64], 576],
  ])('an orthogonal kernel of shape %j spreads gain^2 over the longer side', (shape, longer) => {
    const theory = theoryOf({ kind: 'orthogonal', gain: 2 }, shape)
    expect(theory.variance).toBeCloseTo(4 / longer, 14)
    expect([theory.mean, theory.min, theory.max]).toEqual([0, -2, 2])
  })
})

describe('fans', () => {
  test.each([
    [[], 1, 1],
    [[9], 9, 9],
    [[5, 7], 5, 7],
    [[3, 5, 7], 15, 21],
    [[3, 3, 64, 128], 576, 1152],
    [[2, 3, 4, 5, 6], 120, 144],
  ])('of %j', (shape, fanIn, fanOut) => {
    expect(fansOf(shape)).toEqual({ fanIn, fanOut })
  })
})

describe('variance scaling', () => {
  const fans = { fan_in: 576, fan_out: 1152, fan_avg: 864 }
  const cases = (['fan_in', 'fan_out', 'fan_avg'] as const).flatMap((mode) =>
    (['truncated_normal', 'untruncated_normal', 'uniform'] as const).map((distribution) => ({
      mode,
      distribution,
    })),
  )
  test.each(cases)('$mode $distribution has variance scale / fan', ({ mode, distribution }) => {
    const law = varianceScaling({ scale: 1.7, mode, distribution }, SHAPE)
    expect(law.kind).toBe(distribution === 'untruncated_normal' ? 'normal' : distribution)
    expect(theoryOf(law, SHAPE).variance * fans[mode]).toBeCloseTo(1.7, 12)
  })

  test('takes a fan below one as one', () => {
    expect(varianceScaling({ scale: 3, mode: 'fan_in', distribution: 'uniform' }, [0, 5])).toEqual({
      ...{ kind: 'uniform', low: -3, high: 3 },
    })
  })

  test('widens a truncated normal by what the cut takes away', () => {
    const law = varianceScaling({ scale: 2, mode: 'fan_in', distribution: 'truncated_normal' }, SHAPE)
    expect(law).toEqual({ kind: 'truncated_normal', mean: 0, std: Math.sqrt(2 / 576) / TRUNCATION_STD })
  })
})
