import { createHash } from 'node:crypto'
import { afterAll, expect, test } from 'vitest'
import { StatisticsThread } from '../../../src/analysis/worker/statistics-thread-client.ts'
import { Spectra } from '../../../src/analysis/worker/spectra.ts'
import { measureWeights } from '../../../src/analysis/worker/model-statistics.ts'
import type { WeightTensor } from '../../../src/tensorflow/weight-sources.ts'
import { openBackend } from '../../../src/tensorflow/binding.ts'
import type { ElementwiseLaw, Law } from '../../../src/initializers/law.ts'
import { normalTails } from '../../support/numbers.ts'
import { drawLaw } from '../support/oracle.ts'

const options = { histogram: false, quantiles: false, spectrum: false, operatorSpectrum: false, bins: 8 }
const instruments = {
  statisticsThread: new StatisticsThread(),
  spectra: await Spectra.open(await openBackend()),
}
afterAll(() => instruments.statisticsThread.close())
const uniform: ElementwiseLaw = { kind: 'uniform', low: -0.5, high: 0.5 }

/** A tensor with these values, and a law that they may violate. */
function tensor(name: string, law: Law | null, values: Float32Array, trainable = true): WeightTensor {
  const shape = [values.length / 10, 10]
  return {
    ...{ name, law, trainable, shape, initializer: null, divisible: true },
    slices: async function* () {
      yield await Promise.resolve(values.slice(0, 300))
      if (values.length > 300) yield values.slice(300)
    },
    read: (offset, count) => Promise.resolve(values.subarray(offset, offset + count)),
  }
}

const honest = tensor('a/kernel', uniform, drawLaw(uniform, 1000, [7, 0]))
const narrow = tensor(
  'b/kernel',
  uniform,
  drawLaw(uniform, 1000, [7, 1]).map((value) => value * 0.8),
)
const moved = tensor(
  'c/kernel',
  uniform,
  drawLaw(uniform, 1000, [7, 2]).map((value) => value + 0.06),
)
const ones = tensor('a/gamma', { kind: 'constant', value: 1 }, new Float32Array(20).fill(1))
const loaded = tensor('d/kernel', null, new Float32Array(1000).fill(9))
const buffer = tensor('a/moving_mean', uniform, new Float32Array(10), false)

test('tensors that violate their law are flagged; others are not', async () => {
  const { parameters, totals } = await measureWeights(
    [honest, narrow, ones, moved, loaded],
    options,
    instruments,
  )
  expect(totals.flagged).toEqual(['b/kernel', 'c/kernel'])
  expect(totals.smallest_p_holm).toBeLessThan(0.001)
  expect(parameters.map(({ tests }) => tests !== null)).toEqual([true, true, false, true, false])
})

test("the smallest p is Holm's over all tests of all parameters", async () => {
  const { parameters, totals } = await measureWeights([honest, ones], options, instruments)
  const [record] = parameters
  // The one parameter with tests has three p-values, so the smallest counts threefold.
  const { mean_z = NaN, variance_z = NaN, ks } = record?.tests ?? {}
  const smallest = Math.min(normalTails(mean_z), normalTails(variance_z), ks?.p_value ?? NaN)
  expect(totals.smallest_p_holm).toBeCloseTo(Math.min(1, 3 * smallest), 6)
  expect(totals.flagged).toEqual([])
  expect((await measureWeights([ones, loaded], options, instruments)).totals.smallest_p_holm).toBeNull()
})

test('totals are sums over the records in order, without buffers', async () => {
  const { parameters, totals } = await measureWeights([honest, ones, buffer, moved], options, instruments)
  expect(parameters.map(({ name, tensor_name }) => [name, tensor_name])).toEqual(
    ['a/kernel', 'a/gamma', 'c/kernel'].map((name) => [name, `residual_network/${name}:0`]),
  )
  const values = [honest, ones, moved].map(valuesOf)
  const all = Float32Array.from((await Promise.all(values)).flatMap((part) => [...part]))
  expect(totals).toMatchObject({
    count: 3,
    size: 2020,
    zeros: 0,
    sha256: createHash('sha256').update(new Uint8Array(all.buffer)).digest('hex'),
  })
  expect(totals.l2_norm).toBeCloseTo(Math.hypot(...all), 8)
})

const valuesOf = (source: WeightTensor): Promise<Float32Array> => {
  const [rows = 0, columns = 0] = source.shape
  return source.read(0, rows * columns)
}

test('parameters with the same bytes are flagged together, constants are not', async () => {
  const again = tensor('z/kernel', uniform, await valuesOf(honest))
  const { totals } = await measureWeights(
    [honest, ones, { ...ones, name: 'b/gamma' }, moved, again],
    options,
    instruments,
  )
  expect(totals.duplicates).toEqual([['a/kernel', 'z/kernel']])
  expect(totals.flagged).toEqual(['c/kernel', 'a/kernel', 'z/kernel'])
})

test('weights are compared by name, in slices', async () => {
  const doubled = tensor(
    'a/kernel',
    null,
    (await valuesOf(honest)).map((value) => 2 * value),
  )
  const { parameters, totals } = await measureWeights([honest, ones], options, instruments, [ones, doubled])
  expect(parameters.map(({ relative }) => relative)).toEqual([
    { l2_distance: 0.5, cosine: expect.closeTo(1, 12) as number },
    { l2_distance: 0, cosine: 1 },
  ])
  expect(totals.relative?.l2_distance).toBeGreaterThan(0)
  expect((await measureWeights([honest], options, instruments)).totals.relative).toBeUndefined()
})
