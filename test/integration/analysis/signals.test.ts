import { request } from 'node:http'
import type { Static } from 'typebox'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Comparison, ModelSignals } from '../../../src/http/native/signal-schemas.ts'
import { untilRead } from '../../support/halt.ts'
import { flowerJpeg, flowerWebp, halfTransparentPng } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { startService, type RunningService } from '../../support/service.ts'

type Signals = Static<typeof ModelSignals>
type Compared = Static<typeof Comparison>

let running: RunningService
beforeAll(async () => {
  running = await startService()
  await running.client.create({ ...tiny, initializers: { kernel: 'he_normal' }, name: 'net' })
})
afterAll(() => running.close())

async function compare(specs: readonly object[], signals: object): Promise<Compared> {
  const answer = await running.client.post('/v1/comparisons', { specs, signals })
  expect(answer.status, answer.bytes.toString()).toBe(200)
  return answer.json as Compared
}
async function signalsOf(question: object): Promise<Signals> {
  const answer = await running.client.post('/v1/models/net/signals', question)
  expect(answer.status, answer.bytes.toString()).toBe(200)
  return answer.json as Signals
}
const resnet50 = (kernel: string, { norm = 'batch', seed = 0, overrides = [] as object[] } = {}) => ({
  architecture: { preset: 'resnet50', input_shape: [64, 64, 3], norm },
  initializers: { kernel, overrides },
  seed,
})
const variancesOf = ({ blocks }: Compared['results'][number]): number[] =>
  blocks.map(({ activation }) => activation.variance)
/** The largest ratio of corresponding values of two lists, in either direction. */
const farthest = (given: readonly number[], wanted: readonly number[]): number => {
  expect(given).toHaveLength(wanted.length)
  return Math.exp(
    Math.max(...given.map((value, place) => Math.abs(Math.log(value / (wanted[place] ?? NaN))))),
  )
}

describe('ResNet-50, 16 images of N(0, 1)', () => {
  const zeroGamma = [{ match: '**/norm3/gamma', initializer: 'zeros' }]
  let results: Compared['results']
  beforeAll(async () => {
    const specs = [
      resnet50('he_normal'),
      resnet50('he_normal', { overrides: zeroGamma }),
      resnet50('he_normal', { norm: 'none' }),
      resnet50('glorot_uniform', { norm: 'none' }),
    ]
    ;({ results } = await compare(specs, { batch_size: 16, repeats: 2 }))
  }, 600_000)
  const result = (index: number): Compared['results'][number] => {
    const found = results[index]
    if (!found) throw new Error(`there is no result ${String(index)}`)
    return found
  }

  it('with batch norm grows linearly within a stage and restarts at every projection', () => {
    const stages = [
      [2.01, 1.68, 2.0],
      [2.0, 1.69, 2.01, 2.36],
      [2.0, 1.68, 2.0, 2.35, 2.72, 3.08],
      [2.0, 1.67, 1.99],
    ]
    expect(farthest(variancesOf(result(0)), stages.flat())).toBeLessThan(1.1)
    for (const { activation } of result(0).blocks) expect(activation.residual_variance).toBeCloseTo(1, 2)
    expect(result(0)).toMatchObject({ verdict: 'stable', mean_field: null })
    // Reported without a verdict: in this healthy network the first block's gradient is about 30 times the last block's.
    expect(result(0).gradient_ratio).toBeGreaterThan(10)
  })

  it('with zero gammas starts as its shortcuts, and 0.811 of all kernel weights have no gradient', () => {
    const { blocks, gradient } = result(1)
    // Var(ReLU(N(0, 1))) is .34085.
    const variances = [1, 2, 3, 4].flatMap((stage) => [
      1,
      ...Array<number>([2, 3, 5, 2][stage - 1] ?? 0).fill(0.341),
    ])
    expect(farthest(variancesOf(result(1)), variances)).toBeLessThan(1.05)
    for (const { activation } of blocks) expect(activation.residual_variance).toBe(0)
    expect(gradient.zero_fraction).toBeCloseTo(0.811, 3)
  })

  it('without norms explodes under He and vanishes under Glorot', () => {
    expect(result(2)).toMatchObject({
      verdict: 'exploding',
      reason: expect.stringMatching(/above 30/) as string,
    })
    expect(result(3)).toMatchObject({
      verdict: 'vanishing',
      reason: expect.stringMatching(/below 1\/30/) as string,
    })
    expect(result(2).loss).toBeGreaterThan(100)
    expect(result(3).output_entropy).toBeCloseTo(Math.log(1000), 1)
  })
})

describe('ResNet-50 without norms', () => {
  const kernels = ['he_normal', 'glorot_uniform']
  const measured: Compared['results'][] = []

  it.each([1, 2, 3, 4, 5])('explodes and vanishes with seed %i too', async (seed) => {
    const specs = kernels.map((kernel) => resnet50(kernel, { norm: 'none', seed }))
    const { results } = await compare(specs, { batch_size: 2, repeats: 1, seed })
    expect(results.map(({ verdict }) => verdict)).toEqual(['exploding', 'vanishing'])
    measured.push(results)
  })

  it.each(kernels)(
    'with %s has the variances that mean-field theory predicts, on average over these draws',
    (kernel) => {
      const networks = measured.flatMap((results) => results[kernels.indexOf(kernel)] ?? [])
      expect(networks).toHaveLength(5)
      const { q = [], chi_1 = [] } = networks[0]?.mean_field ?? {}
      const logs = networks.map((network) => variancesOf(network).map(Math.log))
      const geometric = q.map((_, block) =>
        Math.exp(logs.reduce((sum, log) => sum + (log[block] ?? NaN), 0) / logs.length),
      )
      expect(farthest(geometric, q)).toBeLessThan(1.4)
      expect(chi_1).toHaveLength(16)
    },
  )
})

describe('a model', () => {
  it('is measured equal at every call, and different with another seed', async () => {
    const first = await signalsOf({ repeats: 2 })
    expect(
      await signalsOf({ repeats: 2, seed: 0, batch_size: 8, input: 'gaussian', mode: 'training' }),
    ).toEqual(first)
    const other = await signalsOf({ repeats: 2, seed: 1 })
    expect(other.blocks[0]?.activation.variance).not.toBe(first.blocks[0]?.activation.variance)
    expect(first).toMatchObject({
      batch_size: 8,
      seed: 0,
      repeats: 2,
      mode: 'training',
      input: 'gaussian',
      notes: [],
    })
    expect(first.blocks.map(({ name }) => name)).toEqual(['stage1/block1'])
  })

  it('has intervals around its means, except with one repeat', async () => {
    const { blocks, loss_interval, ...rest } = await signalsOf({ repeats: 4 })
    const { variance, variance_interval } = blocks[0]?.activation ?? {}
    const [low, high] = variance_interval?.map(Number) ?? []
    expect(low).toBeLessThan(Number(variance))
    expect(high).toBeGreaterThan(Number(variance))
    expect(loss_interval?.map(Number)[0]).toBeLessThan(rest.loss)
    const one = await signalsOf({ repeats: 1 })
    expect(one).toMatchObject({ loss_interval: null, verdict: 'stable', notes: [expect.any(String)] })
  })

  it('uses moving moments in inference, which are 0 and 1 in a new network', async () => {
    const specs = ['batch', 'none'].map((norm) => ({
      ...{ ...tiny, architecture: { ...tiny.architecture, norm }, initializers: { kernel: 'he_normal' } },
    }))
    const measured = async (mode: string) => {
      const { results } = await compare(specs, { repeats: 1, mode })
      return results.map(({ blocks }) => Number(blocks[0]?.activation.residual_variance))
    }
    const [inference = NaN, plain = NaN] = await measured('inference')
    expect(inference / plain).toBeCloseTo(1, 4)
    expect((await measured('training'))[0]).toBeCloseTo(1, 2)
    expect(inference).not.toBeCloseTo(1, 2)
  })

  it('is measured with images after its own preprocessing', async () => {
    const answer = await running.client.form('/v1/models/net/signals', [
      { name: 'repeats', value: '3' },
      ...[flowerJpeg, flowerWebp, halfTransparentPng].map((value, index) => ({
        ...{ name: 'image', value, filename: `${String(index)}.img` },
      })),
    ])
    expect(answer.status, answer.bytes.toString()).toBe(200)
    const { blocks, ...signals } = answer.json as Signals
    expect(signals).toMatchObject({ input: 'images', batch_size: 3, repeats: 3, mean_field: null })
    expect(signals.notes.join()).toMatch(/no width/)
    const [block] = blocks
    expect(block?.activation.variance_interval).toEqual([
      block?.activation.variance,
      block?.activation.variance,
    ])
    // Pixels of 0..1 have a variance of 1/4 at most.
    expect(signals.input_variance).toBeGreaterThan(0)
    expect(signals.input_variance).toBeLessThan(0.25)
  })
})

it.each([1, 3, 5])(
  'a batch of %d passes strided 1x1 filters forward and backward repeatedly',
  async (batch_size) => {
    for (const version of ['v1', 'v1.5', 'v2']) {
      const stages = [
        { blocks: 1, filters: 8 },
        { blocks: 1, filters: 16, strides: 2 },
      ]
      const stem = { kernel_size: 3, filters: 8, strides: 1, pool: null }
      const architecture = { version, stem, stages, input_shape: [16, 16, 3] }
      const specs = ['batch', 'none'].map((norm) => ({
        architecture: { ...architecture, norm },
        classes: 10,
        initializers: { kernel: 'he_normal' },
      }))
      const { results } = await compare(specs, { batch_size, repeats: 4 })
      for (const { blocks } of results)
        for (const { gradient } of blocks) expect(gradient.l2_norm).toBeGreaterThan(0)
    }
  },
)

it('eager convolutions are correct in the analysis process: three filters, three results', async () => {
  const scaled = (stddev: number) => ({
    ...tiny,
    architecture: { ...tiny.architecture, norm: 'none' },
    initializers: { stem_kernel: { class_name: 'RandomNormal', config: { stddev } } },
  })
  const { results } = await compare([1, 2, 3].map(scaled), { repeats: 1 })
  // Without norms and biases all values scale with the first kernel.
  const [one = NaN, two = NaN, three = NaN] = results.map((network) => variancesOf(network)[0])
  expect(two / one).toBeCloseTo(4, 4)
  expect(three / one).toBeCloseTo(9, 4)
})

describe('comparisons', () => {
  const spec = (kernel: string, norm = 'none') => ({
    ...tiny,
    architecture: { ...tiny.architecture, stages: [{ blocks: 6, filters: 16 }], norm },
    initializers: { kernel },
  })

  it('rank separated intervals and tie overlapping ones', async () => {
    const { results, rankings } = await compare(
      [spec('he_normal'), spec('he_normal', 'batch'), spec('he_normal')],
      { repeats: 5 },
    )
    expect(results.map(({ id }) => id)).toEqual([results[2]?.id, expect.any(String), results[0]?.id])
    expect(results[0]?.blocks).toEqual(results[2]?.blocks)
    expect(rankings.variance_ratio).toEqual([
      { rank: 1, specs: [1] },
      { rank: 2, specs: [0, 2] },
    ])
    expect(rankings.loss_excess[0]?.specs).toContain(1)
    const plan = (await running.client.post('/v1/plans', spec('he_normal'))).json as { id: string }
    expect(results[0]?.id).toBe(plan.id)
  })

  it('report the index of a wrong specification', async () => {
    const wrong = { architecture: { preset: 'residual_network', projection_shortcut: false } }
    const answer = await running.client.post('/v1/comparisons', { specs: [tiny, wrong] })
    expectProblem(answer, {
      ...{ status: 422, code: 'SHAPE_MISMATCH' },
      ...{ pointer: '#/specs/1/architecture/projection_shortcut', says: /stage2/ },
    })
  })
})

describe('rejected', () => {
  it.each([
    [{ repeat: 3 }, '#/repeat', /did you mean "repeats"/],
    [{ repeats: 31 }, '#/repeats', /<= 30/],
    [{ input: 'images' }, '#/input', /multipart/],
    [{ mode: 'train' }, '#/mode', /training/],
  ])('is %j', async (question, pointer, says) => {
    const answer = await running.client.post('/v1/models/net/signals', question)
    expectProblem(answer, { status: 422, code: 'INVALID_REQUEST', pointer, says })
  })

  it.each([
    ['no image', [{ name: 'seed', value: '1' }], '#/images'],
    ['a batch size', [{ name: 'batch_size', value: '1' }], '#/batch_size'],
    [
      'a field twice',
      [
        { name: 'seed', value: '1' },
        { name: 'seed', value: '2' },
      ],
      '#/seed',
    ],
    [
      'Gaussian input',
      [
        { name: 'input', value: 'gaussian' },
        { name: 'a', value: flowerJpeg, filename: 'a' },
      ],
      '#/input',
    ],
  ])('is a form with %s', async (_, parts, pointer) => {
    const answer = await running.client.form('/v1/models/net/signals', parts)
    expectProblem(answer, { status: 422, code: 'INVALID_REQUEST', pointer })
  })

  it('is a measurement that needs too much memory, with its cost and the cure', async () => {
    const answer = await running.client.post('/v1/comparisons', {
      specs: [tiny, { architecture: 'resnet152' }],
      signals: { batch_size: 1024 },
    })
    expectProblem(answer, {
      ...{ status: 422, code: 'INVALID_REQUEST', pointer: '#/signals/batch_size' },
      says: /about [\d.]+ GB .* ANALYSIS_MEMORY_BYTES; use at most \d+ images/,
    })
  })

  it('is an unsupported Accept', async () => {
    const answer = await running.client.post('/v1/models/net/signals', {}, { accept: 'text/html' })
    expectProblem(answer, { status: 406, code: 'NOT_ACCEPTABLE' })
  })
})

describe('events', () => {
  const accept = { accept: 'text/event-stream' }
  const eventsOf = (text: string) =>
    text
      .split('\n\n')
      .filter((event) => event !== '')
      .map((event) => {
        const [, name = '', data = ''] = /^event: (\w+)\ndata: (.*)$/.exec(event) ?? []
        return { name, data: JSON.parse(data) as unknown }
      })

  it('report progress, then the same result', async () => {
    const answer = await running.client.post('/v1/models/net/signals', { repeats: 3 }, accept)
    expect(answer.headers['content-type']).toMatch(/^text\/event-stream/)
    const events = eventsOf(answer.bytes.toString())
    const progress = [0, 1, 2, 3].map((done) => ({ name: 'progress', data: { done, total: 3 } }))
    expect(events.slice(0, -1)).toEqual(progress)
    expect(events.at(-1)).toEqual({ name: 'result', data: await signalsOf({ repeats: 3 }) })
  })

  it('are not started for a rejected request', async () => {
    const answer = await running.client.post('/v1/models/net/signals', { repeats: 0 }, accept)
    expectProblem(answer, { status: 422, code: 'INVALID_REQUEST', pointer: '#/repeats' })
  })

  it('a disconnect cancels the job: the analysis answers others before it could have finished', async () => {
    // 240 passes of at least a second each, more than the timeout of any test.
    const specs = Array<object>(8).fill(resnet50('he_normal'))
    const body = JSON.stringify({ specs, signals: { batch_size: 16, repeats: 30 } })
    for (const headers of [accept, { accept: 'application/json' }]) {
      const call = request(`${running.client.url}/v1/comparisons`, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
      })
      call.on('error', () => undefined)
      // With events the job is running by then; otherwise it may not have started.
      const begun = new Promise<void>((resolve) => {
        call.once('response', (response) => {
          response.on('data', (event: Buffer) => {
            if (event.includes('"done":1,')) resolve()
          })
        })
      })
      call.end(body)
      await (headers === accept ? begun : untilRead(running.client))
      call.destroy()
      expect((await running.client.get('/v1/models/net/statistics')).status).toBe(200)
    }
  })
})
