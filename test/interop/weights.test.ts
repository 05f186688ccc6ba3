import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { FittedWeights, TensorStatistics } from '../../src/analysis/contract.ts'
import { Keras } from '../support/keras.ts'
import { Choices } from '../support/random.ts'
import { startService, temporaryFolder, type RunningService } from '../support/service.ts'

const choices = new Choices()
let keras: Keras
let running: RunningService
let folder: string
beforeAll(async () => {
  keras = new Keras()
  running = await startService()
  folder = await temporaryFolder()
})
afterAll(async () => {
  await Promise.all([keras.close(), running.close()])
  await rm(folder, { recursive: true })
})

async function fitsOf(op: string, request: object): Promise<FittedWeights> {
  const path = join(folder, `${op}.safetensors`)
  await keras.ask({ op, path, seed: choices.integer(0, 10 ** 6), ...request })
  const type = 'application/vnd.safetensors'
  const answer = await running.client.upload('/v1/weights/statistics', await readFile(path), type)
  expect(answer.status, answer.bytes.toString().slice(0, 500)).toBe(200)
  return answer.json as FittedWeights
}
/** Tensors whose verdict, class or config differs from the expected. */
function mistaken(
  { parameters }: FittedWeights,
  expected: (name: string) => readonly [string, string, object],
) {
  return parameters
    .map(({ name, verdict, candidates: [best] }) => ({
      name,
      found: JSON.stringify([verdict, best?.initializer.class_name, best?.initializer.config]),
    }))
    .filter(({ name, found }) => found !== JSON.stringify(expected(name)))
}

describe('every freshly drawn tensor is identified by its initializer', () => {
  it("Keras's ResNet50", async () => {
    const fits = await fitsOf('keras_application', { name: 'ResNet50' })
    expect(fits.layout).toBe('keras')
    expect(fits.parameters).toHaveLength(320)
    const expected = (name: string) => {
      if (name.endsWith('kernel')) return ['fresh', 'GlorotUniform', {}] as const
      return ['constant', /(gamma|moving_variance)$/.test(name) ? 'Ones' : 'Zeros', {}] as const
    }
    expect(mistaken(fits, expected)).toEqual([])
  })

  it("torchvision's ResNet-18", async () => {
    const fits = await fitsOf('torch_resnet18', {})
    expect(fits.layout).toBe('torch')
    const bound = 1 / Math.sqrt(512)
    const expected = (name: string) => {
      if (name === 'fc.bias') return ['fresh', 'RandomUniform', { minval: -bound, maxval: bound }] as const
      if (name === 'fc.weight')
        return [
          'fresh',
          'VarianceScaling',
          { scale: 1 / 3, mode: 'fan_in', distribution: 'uniform' },
        ] as const
      if (/(conv\d|downsample\.0)\.weight$/.test(name))
        return [
          'fresh',
          'VarianceScaling',
          { scale: 2, mode: 'fan_out', distribution: 'untruncated_normal' },
        ] as const
      return ['constant', /(weight|running_var)$/.test(name) ? 'Ones' : 'Zeros', {}] as const
    }
    expect(mistaken(fits, expected)).toEqual([])
  })
})

describe('trained kernels', () => {
  it.each(['glorot_uniform', 'he_normal', 'random_normal', 'orthogonal'])(
    'of %s are not reported as fresh, after one epoch or five',
    async (kernel) => {
      for (const epochs of [1, 5]) {
        const { parameters } = await fitsOf('digits', { kernel, epochs })
        const kernels = parameters.filter(({ name }) => name.endsWith('kernel'))
        expect(kernels).toHaveLength(4)
        expect(kernels.filter(({ verdict }) => verdict === 'fresh')).toEqual([])
        expect(kernels.filter(({ verdict }) => verdict === 'trained').length).toBeGreaterThanOrEqual(1)
      }
    },
  )
})

describe("spectra equal numpy's", () => {
  it.each([
    ['he_normal', [3, 3, 24, 40], [8, 8]],
    ['he_normal', [1, 7, 40, 24], [1, 8]],
    ['orthogonal', [5, 9, 8, 16], [8, 9]],
    ['glorot_uniform', [9, 12, 6], [9]],
    ['random_uniform', [2, 3, 2, 5, 4], [8, 8, 8]],
    ['lecun_normal', [128, 128], []],
    ['random_normal', [96, 300], []],
  ] as const)('%s %j', async (name, shape, grid) => {
    const body = { shape, seed: choices.integer(0, 10 ** 6) }
    const url = `/v1/initializers/${name}`
    const accept = { accept: 'application/vnd.safetensors' }
    const path = join(folder, 'tensor.safetensors')
    await writeFile(path, (await running.client.post(`${url}/sample`, body, accept)).bytes)
    const wanted = (await keras.ask({ op: 'spectra', path, grid })) as {
      singular_values: number[]
      operator: { min: number; max: number; quantiles: number[] }
    }
    const include = 'spectrum,operator_spectrum'
    const { json } = await running.client.post(`${url}/statistics`, { ...body, include })
    const { spectrum, operator_spectrum } = json as TensorStatistics
    const largest = wanted.singular_values[0] ?? NaN
    expect(spectrum?.singular_values).toHaveLength(wanted.singular_values.length)
    wanted.singular_values.forEach((value, index) => {
      expect(Math.abs((spectrum?.singular_values[index] ?? NaN) / value - 1)).toBeLessThan(
        1e-11 * (largest / value) ** 2,
      )
    })
    if (grid.length === 0) return
    expect(operator_spectrum?.grid).toEqual(grid)
    const { min, max, quantiles = {} } = operator_spectrum ?? {}
    const found = [min, max, ...['0.01', '0.5', '0.99'].map((share) => quantiles[share])]
    ;[wanted.operator.min, wanted.operator.max, ...wanted.operator.quantiles].forEach((value, index) => {
      expect(found[index]).toBeCloseTo(value, 5)
    })
  })
})
