/** Float32 values as integers: in units of the smallest float32 number. */
const UNIT = 2n ** 149n

/** Moments of float32 values by definition, in exact integers. */
export interface ExactMoments {
  readonly mean: number
  readonly variance: number
  readonly skewness: number
  readonly kurtosis: number
  readonly l2Norm: number
}

/** Moments of finite values, not all equal, in exact arithmetic, rounded once at the end. */
export function exactMoments(values: Float32Array): ExactMoments {
  const n = BigInt(values.length)
  const integers = Array.from(values, asInteger)
  const sum = total(integers)
  // n times each deviation is an integer.
  const deviations = integers.map((value) => n * value - sum)
  const [second, third, fourth] = [2n, 3n, 4n].map((power) => total(deviations.map((d) => d ** power)))
  if (!second || third === undefined || !fourth) throw new RangeError('the values are all equal')
  const squaredSkewness = quotient(n * third ** 2n, second ** 3n)
  return {
    mean: quotient(sum, n * UNIT),
    variance: quotient(second, n ** 3n * UNIT ** 2n),
    skewness: Math.sqrt(squaredSkewness) * (third < 0n ? -1 : 1),
    kurtosis: quotient(n * fourth - 3n * second ** 2n, second ** 2n),
    l2Norm: Math.sqrt(quotient(total(integers.map((value) => value ** 2n)), UNIT ** 2n)),
  }
}

function asInteger(value: number): bigint {
  // A float32 number times 2^75 is an integer of less than 54 bits times a power of two, or has 74 bits to go.
  const scaled = value * 2 ** 75
  return Number.isInteger(scaled) ? BigInt(scaled) << 74n : BigInt(scaled * 2 ** 74)
}

function total(values: readonly bigint[]): bigint {
  return values.reduce((sum, value) => sum + value, 0n)
}

/** a / b to 60 bits, for b > 0. */
function quotient(a: bigint, b: bigint): number {
  const sign = a < 0n ? -1 : 1
  const size = a < 0n ? -a : a
  const shift = BigInt(Math.max(0, 60 - bits(size) + bits(b)))
  const down = BigInt(Math.max(0, bits(size) - bits(b) - 60))
  const rounded = Number((size << shift) / (b << down))
  // In two steps: a factor of 2^-298 is a number, what it is applied to may need the other half.
  const power = Number(down - shift)
  return sign * rounded * 2 ** Math.trunc(power / 2) * 2 ** (power - Math.trunc(power / 2))
}

function bits(value: bigint): number {
  return value.toString(2).length
}
