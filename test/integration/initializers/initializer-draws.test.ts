import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { Sampler } from '../../../src/tensorflow/sampler.ts'
import { openBackend } from '../../../src/tensorflow/binding.ts'
import { initializerNamed, resolveLaw } from '../../../src/initializers/catalogue.ts'
import { definitions } from '../../../src/initializers/definitions.ts'
import { sizeOf } from '../../../src/initializers/fans.ts'
import { isElementwise, isFixed, theoryOf } from '../../../src/initializers/law.ts'
import type { SeedVector } from '../../../src/initializers/seeds.ts'
import { measured } from '../../unit/support/measured.ts'
import { frobenius, isometryError, orthogonalityError } from '../../support/kernels.ts'

/* Every class of the catalogue, drawn by TensorFlow for random configs, shapes and seeds. */

let sampler: Sampler
beforeAll(async () => {
  sampler = await Sampler.open(await openBackend())
})

const side = (max: number) => fc.integer({ min: 1, max })
const decimal = (min: number, max: number) => fc.double({ min, max, noNaN: true })
const gain = decimal(0.1, 9)
const sizes = fc.array(side(9), { minLength: 0, maxLength: 4 })
/** Ranks 1 to 5, with enough values for stable moments. */
const large = sizes.map((rest) => [Math.ceil(6000 / sizeOf(rest)), ...rest])
const largeKernel = sizes.map((rest) => [Math.ceil(6000 / sizeOf(rest)), ...(rest.length > 0 ? rest : [3])])
const small = fc.array(side(5), { minLength: 1, maxLength: 5 })
/** [...window, in, out] with no more inputs than outputs. */
const channels = fc.tuple(side(7), side(7)).map((pair) => pair.sort((a, b) => a - b))
const window = (min: number, max: number) => fc.array(side(4), { minLength: min, maxLength: max })
const cube = (dimensions: number) =>
  fc
    .tuple(side(5 - dimensions), channels)
    .map(([size, pair]) => [...new Array<number>(dimensions).fill(size), ...pair])
const kernel = fc.tuple(window(1, 3), channels).map(([sides, pair]) => [...sides, ...pair])

const nothing = fc.constant({})
const one = <T>(name: string, value: fc.Arbitrary<T>) => value.map((given) => ({ [name]: given }))
const kaiming = fc.record({
  a: decimal(0, 3),
  mode: fc.constantFrom('fan_in', 'fan_out'),
  nonlinearity: fc.constantFrom('linear', 'conv2d', 'sigmoid', 'tanh', 'relu', 'leaky_relu', 'selu'),
})
const normal = fc.record({ mean: decimal(-3, 3), stddev: decimal(0.01, 3) })
const entry = fc.float({ noNaN: true, min: -100, max: 100 })
const listOf = <T>(length: number, item: fc.Arbitrary<T>) =>
  fc.array(item, { minLength: length, maxLength: length })
/** A number, or an array that can be broadcast to any shape that ends in 3, 4. */
const value = fc.oneof(
  entry,
  ...[1, 4].flatMap((columns) => {
    const row = listOf(columns, entry)
    return [row, listOf(3, row), listOf(1, row), listOf(1, listOf(3, row))]
  }),
)

/** The configs and shapes to draw, by class. */
const classes: Record<string, readonly [fc.Arbitrary<object>, fc.Arbitrary<number[]>]> = {
  Zeros: [nothing, small],
  Ones: [nothing, small],
  Constant: [
    fc.record({ value, fill: fc.constantFrom('broadcast', 'repeat_last') }),
    small.map((shape) => [...shape.slice(0, 3), 3, 4]),
  ],
  Identity: [one('gain', decimal(-9, 9)), fc.array(side(20), { minLength: 2, maxLength: 2 })],
  Dirac: [nothing, fc.tuple(window(1, 3), side(6), side(6)).map(([w, i, o]) => [...w, i, o])],
  RandomUniform: [fc.record({ minval: decimal(-3, 0), maxval: decimal(0.01, 3) }), large],
  RandomNormal: [normal, large],
  TruncatedNormal: [normal, large],
  VarianceScaling: [
    fc.record({
      scale: decimal(0.1, 9),
      mode: fc.constantFrom('fan_in', 'fan_out', 'fan_avg', 'fan_geo_avg'),
      distribution: fc.constantFrom('truncated_normal', 'untruncated_normal', 'uniform', 'normal'),
    }),
    large,
  ],
  ...Object.fromEntries(
    ['GlorotUniform', 'GlorotNormal', 'HeUniform', 'HeNormal', 'LecunUniform', 'LecunNormal'].map((name) => [
      name,
      [nothing, large] as const,
    ]),
  ),
  UniformUnitScaling: [one('factor', decimal(0.1, 3)), large],
  Orthogonal: [one('gain', gain), fc.array(side(7), { minLength: 2, maxLength: 5 })],
  ConvolutionDeltaOrthogonal: [one('gain', gain), kernel],
  ConvolutionOrthogonal1D: [one('gain', gain), cube(1)],
  ConvolutionOrthogonal2D: [one('gain', gain), cube(2)],
  ConvolutionOrthogonal3D: [one('gain', gain), cube(3)],
  TorchKaimingUniform: [kaiming, largeKernel],
  TorchKaimingNormal: [kaiming, largeKernel],
  TorchXavierUniform: [one('gain', gain), largeKernel],
  TorchXavierNormal: [one('gain', gain), largeKernel],
  TorchTruncNormal: [
    // Bounds up to four deviations from the mean; the variance of farther tails converges slowly.
    fc
      .record({ mean: decimal(-3, 3), std: decimal(0.01, 3), from: decimal(-4, 3), width: decimal(0.1, 5) })
      .map(({ mean, std, from, width }) => ({
        ...{ mean, std, a: mean + from * std, b: mean + (from + width) * std },
      })),
    large,
  ],
}
const seeds = fc.tuple(fc.maxSafeInteger(), fc.nat(9999))
const drawings = (name: string) => {
  const [config, shape] = classes[name] ?? [nothing, small]
  return fc.record({ config, shape, seed: seeds, cut: fc.double({ min: 0, max: 1, noNaN: true }) })
}

const digest = (values: Float32Array): string => createHash('sha256').update(values).digest('hex')

test('the catalogue has these classes', () => {
  expect(Object.keys(classes).sort()).toEqual(definitions.map(({ name }) => name).sort())
})

describe.each(Object.keys(classes))('%s', (name) => {
  test('matches its theory', async () => {
    const property = fc.asyncProperty(drawings(name), async ({ config, shape, seed, cut }) => {
      const law = resolveLaw(initializerNamed(name, { ...config }), shape, '#')
      const size = sizeOf(shape)
      const read = (from: SeedVector, begin = 0, count = size) => sampler.read(law, shape, from, begin, count)
      const values = await read(seed)
      expect(values).toHaveLength(size)

      // Two slices give the same tensor.
      const begin = 4 * Math.floor((cut * (size - 1)) / 4)
      const joined = [await read(seed, 0, begin), await read(seed, begin, size - begin)]
      expect(digest(Float32Array.from(joined.flatMap((slice) => [...slice])))).toBe(digest(values))
      const other = await read([seed[0], seed[1] + 1])
      if (isFixed(law)) expect(other).toEqual(values)
      // An orthogonal matrix of one entry is its sign.
      else if (sizeOf(shape.slice(-2)) > 1) expect(digest(other)).not.toBe(digest(values))

      const { min, max } = theoryOf(law, shape)
      const rounding = 1e-6 * Math.max(Math.abs(min ?? 0), Math.abs(max ?? 0))
      expect(values.every((value) => value >= (min ?? -Infinity) - rounding)).toBe(true)
      expect(values.every((value) => value <= (max ?? Infinity) + rounding)).toBe(true)

      const slices = () => sampler.slices(law, shape, seed)
      const record = await measured({ shape, law, slices }, moments)
      expect(record.exact).toBe(isFixed(law) ? true : null)
      if (!isElementwise(law)) {
        expect(record.tests).toBeNull()
        return
      }
      expect(Math.abs(record.tests?.mean_z ?? NaN)).toBeLessThan(5)
      expect(Math.abs(record.tests?.variance_z ?? NaN)).toBeLessThan(5)
      expect(record.tests?.ks.p_value).toBeGreaterThan(1e-6)
    })
    await fc.assert(property, { numRuns: name.startsWith('Convolution') ? 4 : 12 })
  })
})

const moments = { histogram: false, quantiles: false, spectrum: false, operatorSpectrum: false, bins: 1 }

describe('orthogonal kinds', () => {
  test.each([
    ['Orthogonal', orthogonalityError],
    ['ConvolutionDeltaOrthogonal', isometryError],
    ['ConvolutionOrthogonal1D', isometryError],
    ['ConvolutionOrthogonal2D', isometryError],
    ['ConvolutionOrthogonal3D', isometryError],
  ] as const)('%s is orthogonal', async (name, errorOf) => {
    const property = fc.asyncProperty(drawings(name), async ({ config, shape, seed }) => {
      const law = resolveLaw(initializerNamed(name, { ...config }), shape, '#')
      const values = await sampler.read(law, shape, seed, 0, sizeOf(shape))
      expect(errorOf(values, shape, (config as { gain: number }).gain)).toBeLessThan(1e-5)
      const { variance } = theoryOf(law, shape)
      expect(frobenius(values) ** 2 / sizeOf(shape) / variance).toBeCloseTo(1, 5)
    })
    await fc.assert(property, { numRuns: 10 })
  })

  test.each([
    ['ConvolutionDeltaOrthogonal', [3, 3, 24, 32]],
    ['ConvolutionOrthogonal2D', [3, 3, 24, 32]],
    ['ConvolutionOrthogonal2D', [1, 1, 24, 32]],
    ['ConvolutionOrthogonal1D', [7, 32, 32]],
    ['ConvolutionOrthogonal3D', [3, 3, 3, 6, 8]],
  ])(
    '%s scales every norm by %j at every frequency; a flattened orthogonal kernel does not',
    async (name, shape) => {
      const kernelOf = (of: string) =>
        sampler.read(resolveLaw(initializerNamed(of, {}), shape, '#'), shape, [3, 1], 0, sizeOf(shape))
      expect(isometryError(await kernelOf(name), shape, 1)).toBeLessThan(1e-5)
      const plain = isometryError(await kernelOf('Orthogonal'), shape, 1)
      if ((shape[0] ?? 1) > 1) expect(plain).toBeGreaterThan(0.1)
    },
  )

  test('DeltaOrthogonal holds the first rows of the Orthogonal matrix of its seed, in the middle', async () => {
    const delta = await draw('ConvolutionDeltaOrthogonal', { gain: 2 }, [3, 4, 5, 8])
    const square = await draw('Orthogonal', { gain: 2 }, [8, 8])
    const tap = 40 * (1 * 4 + 1)
    expect(delta.subarray(tap, tap + 40)).toEqual(square.subarray(0, 40))
    expect(delta.filter((value) => value !== 0)).toHaveLength(40)
  })

  test('ConvolutionOrthogonal fills every tap, for seed 0 too', async () => {
    for (const seed of [0, 1]) {
      const values = await draw('ConvolutionOrthogonal2D', {}, [3, 3, 8, 8], [seed, 0])
      for (let tap = 0; tap < 9; tap++)
        expect(frobenius(values.subarray(64 * tap, 64 * (tap + 1)))).toBeGreaterThan(0.01)
    }
  })
})

describe('fixed values', () => {
  test('of an array are broadcast, or fill a tensor row by row and repeat the last value', async () => {
    const value = [[1], [0.1]]
    expect(await draw('Constant', { value }, [2, 3])).toEqual(Float32Array.of(1, 1, 1, 0.1, 0.1, 0.1))
    const filled = Float32Array.of(1, 0.1, 0.1, 0.1, 0.1, 0.1)
    expect(await draw('constant_initializer', { value }, [2, 3])).toEqual(filled)
    expect(await draw('constant_initializer', { value }, [3])).toEqual(filled.subarray(0, 3))
  })

  test('of the largest rank are broadcast', async () => {
    const within = (pair: number[]): unknown => [0, 1, 2, 3, 4, 5].reduce<unknown>((inner) => [inner], pair)
    const values = await draw(
      'Constant',
      { value: [within([1, 2]), within([3, 4])] },
      [2, 1, 2, 1, 3, 1, 1, 2],
    )
    const expected = Array.from({ length: 24 }, (_, index) => (index < 12 ? 1 : 3) + (index % 2))
    expect([...values]).toEqual(expected)
  })

  test.each([
    [[3, 3, 4, 6], 1],
    [[3, 3, 4, 6], 2],
    [[4, 2, 3], 1],
    [[1, 1, 2, 2, 6], 3],
  ])(
    'of a Dirac kernel of shape %j and %d groups are at the same positions as in torch',
    async (shape, groups) => {
      const [inputs = 1, outputs = 1] = shape.slice(-2)
      const expected = new Float32Array(sizeOf(shape))
      const middle = shape.slice(0, -2).reduce((place, size) => place * size + Math.floor(size / 2), 0)
      for (let group = 0; group < groups; group++) {
        for (let d = 0; d < Math.min(outputs / groups, inputs); d++)
          expected[(middle * inputs + d) * outputs + group * (outputs / groups) + d] = 1
      }
      expect(await draw('Dirac', { groups }, shape)).toEqual(expected)
    },
  )
})

function draw(
  name: string,
  config: object,
  shape: number[],
  seed: SeedVector = [5, 2],
): Promise<Float32Array> {
  const law = resolveLaw(initializerNamed(name, { ...config }), shape, '#')
  return sampler.read(law, shape, seed, 0, sizeOf(shape))
}
