import { describe, expect, test } from 'vitest'
import { cdfOf } from '../../../src/statistics/distribution.ts'
import { normalCdf, normalTail } from '../../../src/initializers/normal.ts'

const RELATIVE = 1e-13

// python3 -c "from scipy.special import ndtr; print([(z, ndtr(z)) for z in (...)])"
const cumulative: [number, number][] = [
  [-37, 5.7255712225239266e-300],
  [-20, 2.7536241186061556e-89],
  [-10, 7.61985302416047e-24],
  [-6, 9.865876450376946e-10],
  [-3, 0.0013498980316300933],
  [-2, 0.022750131948179195],
  [-1, 0.15865525393145707],
  [-0.5, 0.3085375387259869],
  [0, 0.5],
  [0.5, 0.6914624612740131],
  [1, 0.8413447460685429],
  [2, 0.9772498680518208],
  [3, 0.9986501019683699],
  [6, 0.9999999990134123],
]

// python3 -c "from scipy.special import erfc; print([(x, erfc(x)) for x in (...)])"
const tails: [number, number][] = [
  [0, 1],
  [1e-8, 0.9999999887162083],
  [0.1, 0.8875370839817152],
  [0.5, 0.4795001221869535],
  [1, 0.15729920705028516],
  [1.5, 0.03389485352468927],
  [1.9, 0.007209570764742531],
  [1.99, 0.004888586800383002],
  [2, 0.004677734981047266],
  [2.01, 0.004475150644751764],
  [2.5, 0.00040695201744495886],
  [3, 2.2090496998585445e-5],
  [4, 1.541725790028002e-8],
  [5, 1.5374597944280347e-12],
  [7.5, 2.7766493860305694e-26],
  [10, 2.0884875837625446e-45],
  [15, 7.212994172451209e-100],
  [20, 5.395865611607901e-176],
  [26, 5.663192408856145e-296],
]

describe('the normal distribution', () => {
  test.each(cumulative)('normalCdf(%d) is %d', (z, expected) => {
    // z / sqrt(2) is rounded, which the tail magnifies by about z^2.
    expect(Math.abs(normalCdf(z) / expected - 1)).toBeLessThan(RELATIVE + z * z * Number.EPSILON)
  })

  test.each(tails)('the two-sided tail beyond %d * sqrt(2) is %d', (x, expected) => {
    // The product is rounded, which the tail magnifies by about 2 x^2.
    const allowed = RELATIVE + 4 * x * x * Number.EPSILON
    expect(Math.abs(normalTail(x * Math.SQRT2) / expected - 1)).toBeLessThan(allowed)
    expect(normalTail(-x * Math.SQRT2)).toBe(normalTail(x * Math.SQRT2))
  })

  test('has limits', () => {
    expect([normalCdf(-Infinity), normalCdf(Infinity), normalTail(Infinity)]).toEqual([0, 1, 0])
    expect(normalCdf(NaN)).toBeNaN()
  })
})

describe('cumulative distribution functions of laws', () => {
  // python3 -c "from scipy.stats import truncnorm; print([truncnorm(-2, 2).cdf(x) for x in (...)])"
  test.each([
    [-1.9, 0.0062508428678860785],
    [-1, 0.14238361399454696],
    [-0.3, 0.37646783154673447],
    [0, 0.5],
    [0.7, 0.7703367408253624],
    [1.99, 0.9994286684622263],
  ])('truncated normal at %d', (z, expected) => {
    const cdf = cdfOf({ kind: 'truncated_normal', mean: 3, std: 0.5 })
    expect(cdf(3 + 0.5 * z)).toBeCloseTo(expected, 13)
  })

  test('uniform and normal', () => {
    expect([-2, -1, 0, 2, 3].map(cdfOf({ kind: 'uniform', low: -1, high: 2 }))).toEqual([0, 0, 1 / 3, 1, 1])
    expect(cdfOf({ kind: 'normal', mean: 5, std: 2 })(7)).toBe(normalCdf(1))
  })

  test('reach 0 and 1 at the bounds of a truncated normal and stay there', () => {
    const cdf = cdfOf({ kind: 'truncated_normal', mean: 0, std: 1 })
    for (const x of [-2, -3, -Infinity]) expect(cdf(x)).toBeCloseTo(0, 15)
    for (const x of [2, 3, Infinity]) expect(cdf(x)).toBeCloseTo(1, 15)
  })
})
