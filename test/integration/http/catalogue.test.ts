import type { Static } from 'typebox'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { InitializerEntry, TensorRecord } from '../../../src/http/shared/initializer-schemas.ts'
import type { ArchitectureList, Plan } from '../../../src/http/shared/model-schemas.ts'
import { valuesOf } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { parseSafetensors } from '../../support/safetensors.ts'
import { startService, type RunningService } from '../../support/service.ts'

type Entry = Static<typeof InitializerEntry>

let running: RunningService
beforeAll(async () => {
  running = await startService()
})
afterAll(() => running.close())

describe('initializers', () => {
  it('are listed page by page', async () => {
    const all = (await running.client.get('/v1/initializers')).json as {
      initializers: Entry[]
      next_cursor: null
    }
    expect(all.next_cursor).toBeNull()
    const pages: Entry[] = []
    for (let cursor: string | null = '0'; cursor !== null;) {
      const { json } = await running.client.get(`/v1/initializers?limit=4&cursor=${cursor}`)
      const page = json as { initializers: Entry[]; next_cursor: string | null }
      pages.push(...page.initializers)
      cursor = page.next_cursor
    }
    expect(pages).toEqual(all.initializers)
  })

  it('are found by each of their names', async () => {
    const { initializers } = (await running.client.get('/v1/initializers')).json as { initializers: Entry[] }
    for (const { name, aliases } of initializers) {
      for (const word of aliases) {
        const named = (await running.client.get(`/v1/initializers/${word}`)).json as Entry
        expect([word, named.name]).toEqual([
          word,
          word.startsWith('xavier_initializer') ? 'GlorotUniform' : name,
        ])
      }
    }
  })

  it.each([
    ['xavier_initializer', {}, 'GlorotUniform'],
    ['xavier_initializer', { uniform: false }, 'GlorotNormal'],
    ['kaiming_normal', {}, 'HeNormal'],
    ['constant_initializer', { value: 2 }, 'Constant'],
    ['random_normal_initializer', {}, 'RandomNormal'],
    ['convolutional_orthogonal_2d', { gain: 2 }, 'ConvolutionOrthogonal2D'],
    ['delta_orthogonal', {}, 'ConvolutionDeltaOrthogonal'],
    ['kaiming_uniform_', { a: 2.23606797749979 }, 'TorchKaimingUniform'],
    ['trunc_normal_', { std: 0.5 }, 'TorchTruncNormal'],
    ['dirac_', { groups: 2 }, 'Dirac'],
    ['constant_initializer', { value: [[1], [2]] }, 'Constant'],
    ['constant', { value: [[1], [2], [3], [4]] }, 'Constant'],
  ])('%s %j is %s', async (word, config, name) => {
    const shape = [3, 3, 4, 8]
    const { json } = await running.client.post(`/v1/initializers/${word}/statistics`, {
      shape,
      config,
      seed: 5,
    })
    const record = json as Static<typeof TensorRecord>
    expect(record.initializer?.class_name).toBe(name)
    const own = { shape, config: record.initializer?.config }
    expect((await running.client.post(`/v1/initializers/${name}/statistics`, own)).json).toEqual(record)
  })
})

describe('a tensor', () => {
  const body = { shape: [64, 100], seed: [3, 4], config: { stddev: 2 } }
  const path = '/v1/initializers/TruncatedNormal'

  it('is measured and compared with theory', async () => {
    const asked = { ...body, include: ['histogram', 'quantiles'], bins: 16 }
    const record = (await running.client.post(`${path}/statistics`, asked)).json as Static<
      typeof TensorRecord
    >
    expect(record).toMatchObject({
      size: 6400,
      fan_in: 64,
      fan_out: 100,
      initializer: { config: { seed: [3, 4] } },
    })
    expect(record.theory?.std).toBeCloseTo(2 * 0.87962566, 6)
    expect(record.theory).toMatchObject({ distribution: 'truncated_normal', mean: 0, min: -4, max: 4 })
    expect(record.tests?.ks).toMatchObject({ sample_size: 6400 })
    expect(Math.abs(record.tests?.mean_z ?? NaN)).toBeLessThan(5)
    expect(record.histogram?.edges).toHaveLength(17)
    expect(record.histogram?.counts.reduce((sum, count) => sum + count)).toBe(6400)
    expect(record.quantiles?.['0.5']).toBeCloseTo(0, 0)
  })

  it('is the same in every format', async () => {
    const json = (await running.client.post(`${path}/sample`, body)).json as {
      shape: number[]
      values: number[]
    }
    expect(json.shape).toEqual(body.shape)
    const npy = await running.client.post(`${path}/sample`, body, { accept: 'application/x-npy' })
    expect([...valuesOf(npy.bytes)]).toEqual(json.values)
    const safetensors = await running.client.post(`${path}/sample`, body, {
      accept: 'application/vnd.safetensors',
    })
    const tensor = parseSafetensors(safetensors.bytes).tensors.get('sample')
    expect(tensor?.shape).toEqual(body.shape)
    expect([...valuesOf(npy.bytes)]).toEqual([
      ...new Float32Array(Uint8Array.from(tensor?.bytes ?? []).buffer),
    ])
  })

  it.each([
    ['Identity', { shape: [2, 2, 2] }, '#/shape', /needs a shape of rank 2/],
    ['delta_orthogonal', { shape: [3, 3, 4, 2] }, '#/shape', /needs shape\[-2\] <= shape\[-1\]/],
    ['ConvolutionOrthogonal2D', { shape: [3, 3, 2] }, '#/shape', /needs a shape of rank 4/],
    ['ConvolutionOrthogonal2D', { shape: [3, 2, 2, 2] }, '#/shape', /a window of equal sides/],
    ['ConvolutionOrthogonal2D', { shape: [9, 9, 999, 999] }, '#/shape', /JSON; send/],
    ['Dirac', { shape: [3, 2, 4], config: { groups: 3 } }, '#/config/groups', /give a divisor of 4/],
    [
      'constant_initializer',
      { shape: [2], config: { value: [1, 2, 3] } },
      '#/config/value',
      /3 values for 2 entries/,
    ],
    ['Constant', { shape: [2, 2], config: { value: [1, 2, 3, 4] } }, '#/config/value', /cannot broadcast/],
    ['Constant', { shape: [2], config: { value: ['1'] } }, '#/config/value', /non-empty array of numbers/],
    ['trunc_normal_', { shape: [2], config: { a: 3 } }, '#/config/b', /must be above a/],
    ['Orthogonal', { shape: [5] }, '#/shape', /rank 2 or more/],
    ['zeros', { shape: [2, 0] }, '#/shape/1', /must be >= 1, got 0/],
    ['zeros', { shape: ['2'] }, '#/shape/0', /must be integer, got "2"/],
    ['zeros', {}, '#/shape', /is required/],
    ['zeros', { shape: [101, 100] }, '#/shape', /application\/x-npy/],
    ['zeros', { shape: [1], config: { value: 1 } }, '#/config/value', /not a known field/],
    ['he_normal', { shape: [1], seed: [1, 2, 3] }, '#/seed', /items/],
    ['he_normal', { shape: [1], seed: 2 ** 53 }, '#/seed', /9007199254740991/],
    ['he_normal', { shape: [1], config: { seed: 2 ** 60 } }, '#/config/seed', /9007199254740991/],
    ['zeros', { shape: [1], include: ['histogam'] }, '#/include', /must be among histogram/],
    ['he_normal', { shape: [1], sed: 1 }, '#/sed', /did you mean "seed"\?/],
  ])('is rejected: %s %j', async (name, request, pointer, says) => {
    const answer = await running.client.post(`/v1/initializers/${name}/sample`, request)
    expectProblem(answer, { status: 422, code: 'INVALID_REQUEST', pointer, says })
  })

  it('is rejected for an unsupported format and an unknown name', async () => {
    const image = await running.client.post(`${path}/sample`, body, { accept: 'image/png' })
    expectProblem(image, { status: 406, code: 'NOT_ACCEPTABLE' })
    const unknown = await running.client.post('/v1/initializers/he_norml/sample', { shape: [1] })
    expectProblem(unknown, { status: 404, code: 'INITIALIZER_NOT_FOUND', says: /did you mean "he_normal"\?/ })
    const large = await running.client.post('/v1/initializers/he_norml/sample', { shape: [101, 100] })
    expectProblem(large, { status: 404, code: 'INITIALIZER_NOT_FOUND' })
  })
})

describe('architectures', () => {
  it('have their published numbers of parameters', async () => {
    const { architectures } = (await running.client.get('/v1/architectures')).json as Static<
      typeof ArchitectureList
    >
    const known = {
      resnet18: 11_689_512,
      resnet34: 21_797_672,
      resnet50: 25_557_032,
      resnet101: 44_549_160,
      resnet152: 60_192_808,
    }
    const counts = Object.fromEntries(architectures.map(({ name, parameters }) => [name, parameters]))
    expect(counts).toMatchObject({ ...known, resnet20: 272_474 })
  })

  it('have plans that match their builds', async () => {
    const plan = (await running.client.post('/v1/plans', tiny)).json as Static<typeof Plan>
    const model = await running.client.create(tiny)
    expect(plan).toMatchObject({ id: model.id, spec: model.spec })
    expect(plan.totals).toEqual({
      parameters: model.parameter_count,
      multiply_adds: model.multiply_adds,
      bytes: model.size_bytes,
    })
    const shapes = plan.layers.flatMap(({ parameters }) =>
      parameters.map(({ name, shape }) => ({ name, shape })),
    )
    expect(shapes[0]).toEqual({ name: 'stem/conv/kernel', shape: [3, 3, 3, 4] })
    expect(plan.layers.at(-1)).toMatchObject({ name: 'head/dense', output_shape: [5] })
  })
})
