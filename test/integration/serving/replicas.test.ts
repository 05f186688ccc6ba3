import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Store } from '../../../src/serving/models/store.ts'
import type { ModelBody } from '../../support/client.ts'
import { untilRead, whileHalted } from '../../support/halt.ts'
import { arithmeticImage, npy } from '../../support/images.ts'
import { slow, tiny } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { stagedIn } from '../../support/staging.ts'
import { startService, temporaryFolder, type RunningService } from '../../support/service.ts'

// Two services in one process that share only the folder.
let folder: string
let one: RunningService
let other: RunningService
beforeAll(async () => {
  folder = await temporaryFolder()
  ;[one, other] = await Promise.all([startService({}, folder), startService({}, folder)])
})
afterAll(async () => {
  await Promise.all([one.close(), other.close()])
  await rm(folder, { recursive: true })
})

const shape = [1, 8, 8, 3]
const logits = (running: RunningService, model: string) =>
  running.client.logits(model, shape, arithmeticImage(shape))
const modelOf = async (running: RunningService, name: string): Promise<ModelBody> =>
  (await running.client.get(`/v1/models/${name}`)).json as ModelBody

describe('a change by one service is visible to another at its next request:', () => {
  it('a model, the same to the bit, with its seal and digest', async () => {
    const made = await one.client.create({ ...tiny, seed: 1, name: 'shared' })
    expect(await logits(other, 'shared')).toEqual(await logits(one, 'shared'))
    const digested = await one.client.withDigest('shared')
    expect(await modelOf(other, 'shared')).toMatchObject({
      ...{ id: made.id, names: ['shared'], seal: made.seal, created_at: made.created_at },
      weights_sha256: digested.weights_sha256,
    })
    const again = await other.client.post('/v1/models', { ...tiny, seed: 1, name: 'second' })
    expect(again.status).toBe(200)
    expect((await modelOf(one, made.id)).names.sort()).toEqual(['second', 'shared'])
  })

  it('uploaded weights', async () => {
    const { bytes } = await one.client.get('/v1/models/shared/weights')
    const part = { name: 'weights', value: bytes, filename: 'w' }
    const loaded = (await one.client.form('/v1/models', [part])).json as ModelBody
    expect(await logits(other, loaded.id)).toEqual(await logits(one, 'shared'))
  })

  it('a name that moves', async () => {
    const target = await one.client.create({ ...tiny, seed: 2 })
    expect((await other.client.put('/v1/models/moves', { ...tiny, seed: 1 })).status).toBe(201)
    expect((await one.client.put('/v1/models/moves', { id: target.id })).status).toBe(200)
    expect((await modelOf(other, 'moves')).id).toBe(target.id)
  })

  it('a deleted model with its names; it can be created again at once', async () => {
    const { id } = await one.client.create({ ...tiny, seed: 3, name: 'goes' })
    await logits(other, 'goes')
    expect((await one.client.delete(`/v1/models/${id}`)).status).toBe(204)
    for (const reference of [id, 'goes'])
      expectProblem(await other.client.get(`/v1/models/${reference}`), {
        status: 404,
        code: 'MODEL_NOT_FOUND',
      })
    expectProblem(await other.client.delete(`/v1/models/${id}`), { status: 404, code: 'MODEL_NOT_FOUND' })
    expect((await other.client.post('/v1/models', { ...tiny, seed: 3 })).status).toBe(201)
    expect(await logits(one, id)).toHaveLength(1)
    expect((await modelOf(one, id)).names).toEqual([])
  })

  it('without a request, within a second', async () => {
    const { id } = await one.client.create({ ...tiny, seed: 4 })
    await logits(other, id)
    await one.client.delete(`/v1/models/${id}`)
    await expect
      .poll(
        () =>
          other.client
            .upload(`/v1/models/${id}/predict`, npy(shape, arithmeticImage(shape)), 'application/x-npy')
            .then(({ status }) => status),
        { timeout: 1500 },
      )
      .toBe(404)
  })
})

it("POST does not take another model's name, on either service", async () => {
  const owner = await one.client.create({ ...tiny, seed: 5, name: 'owned' })
  for (const { client } of [one, other])
    expectProblem(await client.post('/v1/models', { ...tiny, seed: 6, name: 'owned' }), {
      status: 409,
      code: 'NAME_TAKEN',
      says: new RegExp(`belongs to the model ${owner.id}; PUT /v1/models/owned moves it`),
    })
  expect((await modelOf(other, 'owned')).id).toBe(owner.id)
  // The owner may repeat the request, and a name without a model is free.
  expect((await other.client.post('/v1/models', { ...tiny, seed: 5, name: 'owned' })).status).toBe(200)
  await other.client.delete(`/v1/models/${owner.id}`)
  expect((await one.client.post('/v1/models', { ...tiny, seed: 6, name: 'owned' })).status).toBe(201)
})

it('of two concurrent creations of one name, one succeeds', async () => {
  for (let round = 0; round < 5; round++) {
    const answers = await Promise.all(
      [one, other].map(({ client }, index) =>
        client.post('/v1/models', { ...tiny, seed: 100 + 2 * round + index, name: `raced-${String(round)}` }),
      ),
    )
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409])
    const winner = answers.find(({ status }) => status === 201)?.json as ModelBody
    for (const running of [one, other])
      expect((await modelOf(running, `raced-${String(round)}`)).id).toBe(winner.id)
  }
})

it('concurrent creations of the same model on both result in one model', async () => {
  const answers = await Promise.all(
    [one, other].map(({ client }) => client.post('/v1/models', { ...tiny, seed: 7 })),
  )
  const models = answers.map(({ json }) => json as ModelBody)
  expect(new Set(models.map(({ id, seal }) => `${id} ${String(seal)}`)).size).toBe(1)
  expect(await logits(one, models[0]?.id ?? '')).toEqual(await logits(other, models[0]?.id ?? ''))
})

it('requests admitted before a deletion, here or there, are answered', async () => {
  for (const deleting of [one, other]) {
    const { id } = await one.client.create(slow)
    const image = npy([1, 64, 64, 3], arithmeticImage([1, 64, 64, 3]))
    const flights = await whileHalted(one.service.engine.pid, async () => {
      const begun = [1, 2, 3].map(() =>
        one.client.upload(`/v1/models/${id}/predict`, image, 'application/x-npy'),
      )
      await untilRead(one.client)
      expect((await deleting.client.delete(`/v1/models/${id}`)).status).toBe(204)
      expectProblem(await one.client.get(`/v1/models/${id}`), { status: 404, code: 'MODEL_NOT_FOUND' })
      return begun
    })
    expect((await Promise.all(flights)).map(({ status }) => status)).toEqual([200, 200, 200])
  }
})

it("a start keeps another service's temporary files", async () => {
  const live = await Store.open(folder)
  const staged = await live.stageFolder()
  const third = await startService({}, folder)
  expect(await stagedIn(folder)).toEqual([staged.path])
  await third.close()
  expect(await stagedIn(folder)).toEqual([staged.path])
  await live.close()
  // The folders of the two running services.
  expect(await readdir(join(folder, 'staging'))).toHaveLength(2)
})
