import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Answer, ModelBody, Part } from '../../support/client.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem, type Refusal } from '../../support/problems.ts'
import { changeTensors, parseSafetensors, writeDtypes, writeSafetensors } from '../../support/safetensors.ts'
import { startService, type RunningService } from '../../support/service.ts'
import { stagedIn } from '../../support/staging.ts'

const HEAD = ['head/dense/kernel', 'head/dense/bias']
let running: RunningService
let file: Buffer
beforeAll(async () => {
  running = await startService()
  await running.client.create({ ...tiny, seed: 9, name: 'net' })
  file = await download('net')
})
afterAll(() => running.close())

async function download(model: string, query = ''): Promise<Buffer> {
  return (await running.client.get(`/v1/models/${model}/weights${query}`)).bytes
}

const json = (name: string, value: object, filename?: string): Part => ({
  ...{ name, value: JSON.stringify(value) },
  ...(filename === undefined ? {} : { filename }),
})
const weights = (value: Buffer): Part => ({ name: 'weights', value, filename: 'net.safetensors' })
const send = (...parts: Part[]): Promise<Answer> => running.client.form('/v1/models', parts)
const initialize = json('load', { missing: 'initialize' })

describe('initialized parameters', () => {
  it('a head of another shape has the bits of a model without a file', async () => {
    const answer = await send(json('spec', { classes: 7, seed: 3 }), initialize, weights(file))
    expect(answer.status).toBe(201)
    const { id, loaded, spec } = answer.json as ModelBody
    expect(loaded).toEqual({
      ...{ format: 'safetensors', names: 'resinit', prefix: '', dtypes: ['F32'], ignored: HEAD },
      initialized: HEAD,
    })
    expect(spec).toMatchObject({ classes: 7, seed: 3 })
    const fresh = await running.client.create({ ...tiny, classes: 7, seed: 3 })
    const drawn = parseSafetensors(await download(fresh.id)).tensors
    const body = parseSafetensors(file).tensors
    const held = parseSafetensors(await download(id)).tensors
    for (const [name, tensor] of held)
      expect([name, tensor]).toEqual([name, HEAD.includes(name) ? drawn.get(name) : body.get(name)])
    expect((await running.client.get(`/v1/models/${id}`)).json).toMatchObject({ loaded })
  })

  it('missing kernels and moments have the measured factors of the scheme', async () => {
    const architecture = { ...tiny.architecture, norm: 'none' }
    const lsuv = { ...tiny, architecture, residual_scheme: 'lsuv', seed: 4 }
    const fresh = await running.client.create(lsuv)
    const whole = await download(fresh.id)
    const lost = ['stem/conv/kernel', 'stage1/block1/conv2/kernel']
    const { metadata, tensors } = parseSafetensors(whole)
    const part = new Map([...tensors].filter(([name]) => !lost.includes(name)))
    const answer = await send(
      json('spec', lsuv),
      initialize,
      weights(writeSafetensors({ metadata, tensors: part })),
    )
    const { id, loaded } = answer.json as ModelBody
    expect(loaded?.initialized).toEqual(lost)
    expect(parseSafetensors(await download(id)).tensors).toEqual(tensors)
    const { id: complete } = (await send(json('spec', lsuv), weights(whole))).json as ModelBody
    expect(complete).toBe(id)
  })
})

describe('the record', () => {
  it.each([
    ['F64', (values: Float32Array) => Buffer.from(Float64Array.from(values).buffer)],
    [
      'BF16',
      (values: Float32Array) =>
        Buffer.from(Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16).buffer),
    ],
  ] as const)('%s and a prefix', async (dtype, encode) => {
    const tensors = [...parseSafetensors(await download('net', '?names=torchvision')).tensors].filter(
      ([name]) => !name.endsWith('num_batches_tracked'),
    )
    const encoded = tensors.map(([name, { shape, bytes }]) => {
      const values = new Float32Array(Uint8Array.from(bytes).buffer)
      return [`module.${name}`, { dtype, shape, bytes: encode(values) }] as const
    })
    const { json: body } = await send(json('spec', tiny), weights(writeDtypes(Object.fromEntries(encoded))))
    expect(body).toMatchObject({ loaded: { names: 'torchvision', prefix: 'module.', dtypes: [dtype] } })
  })

  it('of the first upload stays', async () => {
    const first = (await send(weights(file))).json as ModelBody
    const extra = changeTensors(file, (tensors) =>
      tensors.set('optimizer/step', { shape: [1], bytes: Buffer.alloc(4) }),
    )
    const second = await send(json('load', { extra: 'ignore' }), weights(extra))
    expect(second.status).toBe(200)
    expect(second.json).toMatchObject({ id: first.id, loaded: { ignored: [] } })
    const changedSeed = await send(
      json('load', { extra: 'ignore' }),
      json('spec', { seed: 8 }),
      weights(extra),
    )
    expect(changedSeed.json).toMatchObject({ loaded: { ignored: ['optimizer/step'] } })
    expect(running.service.engine.restarts).toBe(0)
  })

  it('of an initialized model has no origin', async () => {
    expect((await running.client.get('/v1/models/net')).json).not.toHaveProperty('loaded')
  })
})

const invalid = (pointer: string, says: RegExp): Refusal => ({
  status: 422,
  code: 'INVALID_REQUEST',
  pointer,
  says,
})
describe('rejected:', () => {
  it.each<readonly [string, () => Part[], Refusal]>([
    [
      'an unknown option',
      () => [json('load', { mising: 'error' }), weights(file)],
      invalid('#/load/mising', /did you mean "missing"/),
    ],
    [
      'an unknown value',
      () => [json('load', { extra: 'drop' }), weights(file)],
      invalid('#/load/extra', /"error", "ignore"/),
    ],
    [
      'options without weights',
      () => [json('spec', tiny), json('load', {})],
      invalid('#/load', /needs "weights"/),
    ],
    ['a configuration without weights', () => [json('config', {})], invalid('#/config', /needs "weights"/)],
    ['options after weights', () => [weights(file), json('load', {})], invalid('#/load', /comes too late/)],
    [
      'two configurations',
      () => [json('config', {}), json('config', {}), weights(file)],
      invalid('#/config', /twice/),
    ],
    [
      'a second preprocessor configuration under the other name',
      () => [json('config', {}, 'preprocessor_config.json'), json('preprocessor_config', {}), weights(file)],
      invalid('#/preprocessor_config', /twice/),
    ],
    [
      'images without an architecture',
      () => [json('spec', { seed: 1 }), { name: 'images', value: 'x', filename: 'x' }],
      invalid('#/architecture', /is required/),
    ],
    [
      'a specification that is no object',
      () => [json('spec', []), weights(file)],
      invalid('#', /must be object/),
    ],
  ])('%s', async (_, parts, refusal) => {
    expectProblem(await send(...parts()), refusal)
    // A digest of another model may be staged for a moment.
    await expect.poll(() => stagedIn(running.dataDir)).toEqual([])
  })
})
