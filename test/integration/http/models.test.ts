import { afterEach, afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ModelBody } from '../../support/client.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { startService, type RunningService } from '../../support/service.ts'

let running: RunningService
beforeAll(async () => {
  running = await startService()
})
afterAll(() => running.close())
afterEach(async () => {
  for (const { id } of await models()) await running.client.delete(`/v1/models/${id}`)
})

async function models(query = ''): Promise<ModelBody[]> {
  return ((await running.client.get(`/v1/models${query}`)).json as { models: ModelBody[] }).models
}

describe('POST /v1/models', () => {
  it('returns 201 with a ready model and its Location', async () => {
    const answer = await running.client.post('/v1/models', tiny)
    const model = answer.json as ModelBody
    expect(answer.status).toBe(201)
    expect(answer.headers['location']).toBe(`/v1/models/${model.id}`)
    expect(model).toMatchObject({ state: 'ready', names: [], weights: 'initialized', last_error: null })
    expect(model.id).toMatch(/^[0-9a-f]{64}$/)
    expect(model.seal).toMatch(/^[0-9a-f]{64}$/)
    expect(model.model_version_status).toEqual([
      { version: '1', state: 'AVAILABLE', status: { error_code: 'OK', error_message: '' } },
    ])
    expect((await running.client.get(answer.headers['location'] ?? '')).json).toMatchObject({ id: model.id })
  })

  it('returns 200 with the same model for the same specification, and adds a new name', async () => {
    const { id } = await running.client.create({ ...tiny, name: 'first' })
    const again = await running.client.post('/v1/models', { ...tiny, name: 'second' })
    expect(again.status).toBe(200)
    expect(again.json).toMatchObject({ id, names: ['first', 'second'] })
  })

  it('builds once for concurrent requests', async () => {
    const answers = await Promise.all([1, 2, 3].map(() => running.client.post('/v1/models', tiny)))
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 201])
    expect(answers.every(({ json }) => (json as ModelBody).state === 'ready')).toBe(true)
  })

  it('returns 202 at once for Prefer: respond-async', async () => {
    const answer = await running.client.post('/v1/models', tiny, { prefer: 'respond-async' })
    const { id, state } = answer.json as ModelBody
    expect([answer.status, state]).toEqual([202, 'building'])
    expect(answer.headers).toMatchObject({
      location: `/v1/models/${id}`,
      'preference-applied': 'respond-async',
    })
    const again = await running.client.post('/v1/models', tiny, { prefer: 'respond-async' })
    expect([again.status, (again.json as ModelBody).state]).toEqual([202, 'building'])
    expect((await running.client.post('/v1/models', tiny)).json).toMatchObject({ id, state: 'ready' })
    expect((await running.client.post('/v1/models', tiny, { prefer: 'respond-async' })).status).toBe(200)
  })

  it.each([
    [{ architecture: 'resnet20' }, { architecture: { preset: 'resnet20' }, seed: 0, classes: 10 }],
    [
      { ...tiny, initializers: { kernel: 'xavier_initializer' } },
      { ...tiny, initializers: { kernel: { class_name: 'GlorotUniform', config: { seed: null } } } },
    ],
    [tiny, { ...tiny, initializers: { bias: 'zeros_initializer', kernel: 'xavier_uniform' } }],
    [tiny, { ...tiny, architecture: { ...tiny.architecture, head: { units: 5 }, norm: 'batch' } }],
    [tiny, { ...tiny, preprocessing: { scale: 1 / 255 } }],
  ])('gives equal networks the same id: %j', async (words, others) => {
    const { id } = await running.client.create(words)
    expect(await running.client.create(others)).toMatchObject({ id })
    const { spec } = (await running.client.get(`/v1/models/${id}`)).json as ModelBody
    expect(await running.client.create(spec)).toMatchObject({ id })
  })

  it.each([{ seed: 1 }, { classes: 6 }, { initializers: { kernel: 'he_normal' } }, { preprocessing: 'tf' }])(
    'gives different networks different ids: %j',
    async (change) => {
      const { id } = await running.client.create(tiny)
      expect((await running.client.create({ ...tiny, ...change })).id).not.toBe(id)
    },
  )
})

describe('names', () => {
  it('are created and moved by PUT', async () => {
    const created = await running.client.put('/v1/models/current', tiny)
    expect(created.status).toBe(201)
    const { id } = await running.client.create({ ...tiny, seed: 1 })
    const moved = await running.client.put('/v1/models/current', { id })
    expect([moved.status, moved.json]).toMatchObject([200, { id, names: ['current'] }])
    expect((await running.client.get('/v1/models/current')).json).toMatchObject({ id })
    expect((await models()).find((model) => model.id !== id)?.names).toEqual([])
  })

  it('are 201 when created and 200 when they existed', async () => {
    const { id } = await running.client.create({ ...tiny, name: 'a' })
    for (const [name, body, status] of [
      ['b', tiny, 201],
      ['b', tiny, 200],
      ['c', { id }, 201],
      ['c', { id }, 200],
      ['a', { ...tiny, seed: 1 }, 200],
    ] as const) {
      const answer = await running.client.put(`/v1/models/${name}`, body)
      const model = answer.json as ModelBody
      expect([name, answer.status]).toEqual([name, status])
      expect(answer.headers['location']).toBe(`/v1/models/${model.id}`)
    }
  })

  it('are deleted by a request with a JSON type and no body', async () => {
    await running.client.create({ ...tiny, name: 'a' })
    const answer = await running.client.send('delete', '/v1/models/a', { 'content-type': 'application/json' })
    expect(answer.status).toBe(204)
  })

  it('accept an existing id or a specification, not both', async () => {
    const both = await running.client.put('/v1/models/a', { ...tiny, id: 'b' })
    expectProblem(both, { status: 422, code: 'INVALID_REQUEST', pointer: '#/id' })
    const unknown = await running.client.put('/v1/models/a', { id: '0'.repeat(64) })
    expectProblem(unknown, { status: 404, code: 'MODEL_NOT_FOUND' })
  })

  it('are deleted with their model and its other names if the request says so', async () => {
    const { id } = await running.client.create({ ...tiny, name: 'a' })
    await running.client.create({ ...tiny, name: 'b' })
    expect((await running.client.delete('/v1/models/a?model=true')).status).toBe(204)
    for (const gone of ['a', 'b', id])
      expectProblem(await running.client.get(`/v1/models/${gone}`), { status: 404, code: 'MODEL_NOT_FOUND' })
    expectProblem(await running.client.delete('/v1/models/a?model=true'), {
      status: 404,
      code: 'MODEL_NOT_FOUND',
    })
  })

  it('are deleted alone; deleting an id deletes its names', async () => {
    const { id } = await running.client.create({ ...tiny, name: 'a' })
    await running.client.create({ ...tiny, name: 'b' })
    expect((await running.client.delete('/v1/models/a')).status).toBe(204)
    expect((await running.client.get('/v1/models/b')).json).toMatchObject({ id, names: ['b'] })
    expect((await running.client.delete(`/v1/models/${id}`)).status).toBe(204)
    for (const gone of ['a', 'b', id]) {
      expectProblem(await running.client.get(`/v1/models/${gone}`), { status: 404, code: 'MODEL_NOT_FOUND' })
      expectProblem(await running.client.delete(`/v1/models/${gone}`), {
        status: 404,
        code: 'MODEL_NOT_FOUND',
      })
    }
  })

  it('can be replaced by an id prefix of 12 or more', async () => {
    const { id } = await running.client.create(tiny)
    expect((await running.client.get(`/v1/models/${id.slice(0, 12)}`)).json).toMatchObject({ id })
    expectProblem(await running.client.get(`/v1/models/${id.slice(0, 11)}`), {
      status: 404,
      code: 'MODEL_NOT_FOUND',
    })
  })
})

it('lists models page by page, in order of creation', async () => {
  const created = []
  for (const seed of [1, 2, 3]) created.push((await running.client.create({ ...tiny, seed })).id)
  const first = (await running.client.get('/v1/models?limit=2')).json as {
    models: ModelBody[]
    next_cursor: string
  }
  const rest = await running.client.get(`/v1/models?limit=2&cursor=${first.next_cursor}`)
  const { models: last, next_cursor } = rest.json as { models: ModelBody[]; next_cursor: null }
  expect([...first.models, ...last].map(({ id }) => id)).toEqual(created)
  expect(next_cursor).toBeNull()
})
