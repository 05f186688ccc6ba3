import { describe, expect, test } from 'vitest'
import { initializerNamed, resolveLaw } from '../../../src/initializers/catalogue.ts'
import { fansOf } from '../../../src/initializers/fans.ts'
import {
  affineOf,
  theoryOf,
  TRUNCATION_STD,
  type ElementwiseLaw,
  type Law,
} from '../../../src/initializers/law.ts'
import { varianceScaling } from '../../../src/initializers/variance-scaling.ts'
import { drawLaw } from '../support/oracle.ts'

const laws: readonly ElementwiseLaw[] = [
  { kind: 'uniform', low: -0.05, high: 0.05 },
  { kind: 'uniform', low: 1, high: 4 },
  { kind: 'normal', mean: 0, std: 0.05 },
  { kind: 'normal', mean: -1.1, std: 2 },
  { kind: 'truncated_normal', mean: 0, std: 0.05 },
  { kind: 'truncated_normal', mean: 0.3, std: 1.7 },
  { kind: 'bounded_normal', mean: 0, std: 1, low: -2, high: 2 },
  { kind: 'bounded_normal', mean: 0.5, std: 1.5, low: -1, high: 4 },
  { kind: 'bounded_normal', mean: 1, std: 2, low: 2, high: 2.5 },
  { kind: 'bounded_normal', mean: 0, std: 1, low: 6, high: 6.5 },
  { kind: 'bounded_normal', mean: 2.5, std: 0.5, low: 1.625, high: 2 },
]

const SHAPE = [3, 3, 64, 128]

/** Bounds; mean, variance, skewness, excess kurtosis. */
const SCIPY: [number, number, number, number, number, number][] = [
  [-2, 2, 0.0, 0.7737413035499232, 0.0, -0.6344632828703505],
  [-1, 3, 0.2827861107271541, 0.6161417353578291, 0.5393018494027879, -0.20582065135274608],
  [0.5, 0.75, 0.6217528842191813, 0.005191176744350212, 0.053967835830329165, -1.1938304112256686],
  [0, 100, 0.7978845608028654, 0.3633802276324186, 0.9952717464311565, 0.8691773036059725],
  [3, 4, 3.2604542855900243, 0.04927779377738217, 1.085187212507855, 0.5682772541223913],
  [8, 9, 8.121188992979867, 0.014148542782169593, 1.8532542832464631, 4.678063308114429],
  [-9, -8, -8.121188992979867, 0.014148542782169593, -1.8532542832464631, 4.678063308114429],
]

/** Moments of a law's density by the midpoint rule, independent of the source code. */
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
  if (law.kind === 'bounded_normal') {
    // Subtracted from the exponent, so that the density of a far tail does not underflow.
    const nearest = Math.min(Math.max(mean, law.low), law.high)
    const scale = ((nearest - mean) / std) ** 2 / 2
    return [law.low, law.high, (x) => Math.exp(scale - ((x - mean) / std) ** 2 / 2)]
  }
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

  test.each(laws)('has tight bounds of the draws: %o', (law) => {
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

describe('theory of normals between bounds', () => {
  // scipy 1.17.1: truncnorm.stats(a, b, moments='mvsk').
  test.each(SCIPY)("equals scipy's between %d and %d", (low, high, mean, variance, skewness, kurtosis) => {
    const theory = theoryOf({ kind: 'bounded_normal', mean: 0, std: 1, low, high }, SHAPE)
    expect(theory.mean).toBeCloseTo(mean, 10)
    expect(theory.variance / variance).toBeCloseTo(1, 8)
    expect(theory.skewness).toBeCloseTo(skewness, 6)
    expect(theory.kurtosis).toBeCloseTo(kurtosis, 6)
  })

  test('equals the truncated normal between +-2 deviations, and the normal without effective bounds', () => {
    const of = (mean: number, std: number, reach: number) => {
      const { distribution, min, max, ...moments } = theoryOf(
        { kind: 'bounded_normal', mean, std, low: mean - reach * std, high: mean + reach * std },
        SHAPE,
      )
      expect([distribution, min, max]).toEqual(['bounded_normal', mean - reach * std, mean + reach * std])
      return moments
    }
    const close = (moments: ReturnType<typeof of>, law: Law) => {
      const { mean, std, variance, skewness, kurtosis } = theoryOf(law, SHAPE)
      for (const [name, value] of Object.entries({ mean, std, variance, skewness, kurtosis }))
        expect(moments[name as keyof typeof moments]).toBeCloseTo(value ?? NaN, 9)
    }
    close(of(0.5, 0.25, 2), { kind: 'truncated_normal', mean: 0.5, std: 0.25 })
    close(of(0.5, 0.25, 100), { kind: 'normal', mean: 0.5, std: 0.25 })
  })

  test('approaches a uniform between narrow bounds', () => {
    const { variance, skewness, kurtosis } = theoryOf(
      { kind: 'bounded_normal', mean: 0, std: 1, low: 0.1, high: 0.1 + 2 ** -20 },
      SHAPE,
    )
    expect((variance * 12) / 2 ** -40).toBeCloseTo(1, 6)
    expect(skewness).toBeCloseTo(0, 5)
    expect(kurtosis).toBeCloseTo(-1.2, 6)
  })
})

describe('theory of other laws', () => {
  test('constants have variance 0', () => {
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

test.each<[Law, number[]]>([
  [{ kind: 'delta_orthogonal', gain: 2 }, [3, 3, 8, 16]],
  [{ kind: 'convolution_orthogonal', gain: 2 }, [3, 3, 8, 16]],
])('%o spreads gain^2 over the window and the outputs', (law, shape) => {
  const theory = theoryOf(law, shape)
  expect(theory.variance).toBeCloseTo(4 / (9 * 16), 14)
  expect([theory.mean, theory.min, theory.max]).toEqual([0, -2, 2])
})

test('values with a repeated last one have the moments of the tensor', () => {
  const theory = theoryOf({ kind: 'values', values: [1, 2, 6] }, [5])
  expect(theory).toMatchObject({ distribution: 'values', mean: 4.2, min: 1, max: 6, skewness: null })
  expect(theory.variance).toBeCloseTo((3.2 ** 2 + 2.2 ** 2 + 3 * 1.8 ** 2) / 5, 12)
})

test.each([
  [1, [3, 3, 4, 6], 4],
  [1, [3, 6, 4], 4],
  [2, [3, 3, 4, 6], 6],
  [3, [1, 1, 1, 2, 6], 6],
])('a Dirac kernel of %d groups and shape %j has %d ones', (groups, shape, ones) => {
  const theory = theoryOf({ kind: 'dirac', groups, gain: 1 }, shape)
  const size = shape.reduce((product, side) => product * side, 1)
  expect(theory.mean).toBeCloseTo(ones / size, 14)
  expect(theory.variance).toBeCloseTo((ones / size) * (1 - ones / size), 14)
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
  const fans = { fan_in: 576, fan_out: 1152, fan_avg: 864, fan_geo_avg: Math.sqrt(576 * 1152) }
  const cases = (['fan_in', 'fan_out', 'fan_avg', 'fan_geo_avg'] as const).flatMap((mode) =>
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

  test('treats a fan below one as one', () => {
    expect(varianceScaling({ scale: 3, mode: 'fan_in', distribution: 'uniform' }, [0, 5])).toEqual({
      ...{ kind: 'uniform', low: -3, high: 3 },
    })
  })

  test('widens a truncated normal to compensate for the truncation', () => {
    const law = varianceScaling({ scale: 2, mode: 'fan_in', distribution: 'truncated_normal' }, SHAPE)
    expect(law).toEqual({ kind: 'truncated_normal', mean: 0, std: Math.sqrt(2 / 576) / TRUNCATION_STD })
  })
})

describe("laws of the catalogue's names", () => {
  const of = (name: string, config: Record<string, unknown>, shape = SHAPE) =>
    resolveLaw(initializerNamed(name, config), shape, '#')
  const stdOf = (name: string, config: Record<string, unknown>) => theoryOf(of(name, config), SHAPE).std

  // torch.nn.init.calculate_gain.
  test.each([
    ['linear', 1],
    ['conv2d', 1],
    ['sigmoid', 1],
    ['tanh', 5 / 3],
    ['relu', Math.SQRT2],
    ['leaky_relu', Math.sqrt(2 / (1 + 0.2 ** 2))],
    ['selu', 0.75],
  ])('kaiming_normal_ for %s has gain %d', (nonlinearity, gain) => {
    const config = { a: 0.2, nonlinearity }
    expect(of('kaiming_normal_', config).kind).toBe('normal')
    expect(of('kaiming_uniform_', config).kind).toBe('uniform')
    for (const name of ['kaiming_normal_', 'kaiming_uniform_']) {
      expect(stdOf(name, config)).toBeCloseTo(gain / Math.sqrt(576), 12)
      expect(stdOf(name, { ...config, mode: 'fan_out' })).toBeCloseTo(gain / Math.sqrt(1152), 12)
    }
  })

  test("kaiming_uniform_ with a = sqrt 5 is torch's default for layers: 1 / sqrt(fan_in)", () => {
    const { high } = of('kaiming_uniform_', { a: Math.sqrt(5) }) as { high: number }
    expect(high).toBeCloseTo(1 / Math.sqrt(576), 14)
  })

  test('xavier_*_ have gain^2 times 2 / (fan_in + fan_out)', () => {
    expect(of('xavier_normal_', {}).kind).toBe('normal')
    for (const name of ['xavier_normal_', 'xavier_uniform_'])
      expect(stdOf(name, { gain: 3 })).toBeCloseTo(3 * Math.sqrt(2 / (576 + 1152)), 12)
  })

  test.each([
    [[3, 3, 64, 128], 576],
    [[5], 1],
    [[], 1],
  ])('uniform_unit_scaling of shape %j covers all dimensions but the last', (shape, n) => {
    const limit = 1.15 * Math.sqrt(3 / n)
    const law = of('uniform_unit_scaling_initializer', { factor: 1.15 }, shape)
    expect(law).toEqual({ kind: 'uniform', low: -limit, high: limit })
  })

  test('untruncated_normal is accepted wherever init_ops accepts it', () => {
    for (const name of ['VarianceScaling', 'variance_scaling_initializer'])
      expect(of(name, { distribution: 'untruncated_normal' }).kind).toBe('normal')
  })

  test('trunc_normal_ has its bounds in units of the values, rounded to float32', () => {
    expect(of('trunc_normal_', { std: 0.02, b: 0.1 })).toEqual({
      ...{ kind: 'bounded_normal', mean: 0, std: 0.02, low: -2, high: Math.fround(0.1) },
    })
  })
})
