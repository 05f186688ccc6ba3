import { readFile } from 'node:fs/promises'
import { afterEach, expect, it, vi } from 'vitest'
import type { ModelBody } from '../../support/client.ts'
import { pixelPng } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { startService, type RunningService } from '../../support/service.ts'

/**
 * Two of the small networks fit, three do not: a megabyte each, plus half a megabyte for their convolutions.
 */
const BUDGET = 4_000_000
let running: RunningService
afterEach(() => running.close())

const pixels = new Uint8Array(8 * 8 * 3).fill(9)
const logits = (name: string) => running.client.logits(name, [1, 8, 8, 3], pixels)
const model = async (name: string) => (await running.client.get(`/v1/models/${name}`)).json as ModelBody
const states = async (): Promise<unknown> => {
  const { json } = await running.client.get('/v1/models')
  return Object.fromEntries(
    (json as { models: ModelBody[] }).models.map(({ names, state }) => [names[0], state]),
  )
}

it('the least recently used model is evicted and rebuilt equal on demand', async () => {
  running = await startService({ MEMORY_BUDGET_BYTES: String(BUDGET) })
  const unloaded = vi.spyOn(running.service.engine, 'unload')
  const create = (name: string, seed: number) => running.client.create({ ...tiny, name, seed })
  await create('first', 1)
  const second = await create('second', 2)
  const before = await logits('second')
  await logits('first')
  expect(await states()).toEqual({ first: 'ready', second: 'ready' })

  const third = await create('third', 3)
  expect(await states()).toEqual({ first: 'ready', second: 'unloaded', third: 'ready' })
  expect(unloaded.mock.calls).toEqual([[second.id]])
  expect(await model('second')).toMatchObject({
    seal: second.seal,
    model_version_status: [{ state: 'AVAILABLE' }],
  })

  expect(await logits('second')).toEqual(before)
  expect(await states()).toEqual({ first: 'unloaded', second: 'ready', third: 'ready' })
  expect((await model('second')).seal).toBe(second.seal)
  await logits('first')
  expect(await states()).toEqual({ first: 'ready', second: 'ready', third: 'unloaded' })
  expect(unloaded.mock.calls.at(-1)).toEqual([third.id])
})

it('hundreds of small networks take the memory of the metric, within the budget', async () => {
  const budget = 60e6
  running = await startService({ MEMORY_BUDGET_BYTES: String(budget) })
  const { client, service } = running
  const held = async (): Promise<number> => {
    const status = await readFile(`/proc/${String(service.engine.pid)}/status`, 'utf8')
    return 1024 * Number(/^RssAnon:\s+(\d+)/m.exec(status)?.[1])
  }
  const read = async (metric: string): Promise<number> => {
    const text = (await client.get('/metrics')).bytes.toString()
    return Number(new RegExp(`^resinit_resident_${metric} (\\S+)$`, 'm').exec(text)?.[1])
  }
  // Allocates the memory that all models share.
  await client.create({ ...tiny, name: 'first' })
  const wanted = await logits('first')
  const before = { held: await held(), told: await read('bytes') }
  for (let seed = 1; seed <= 30; seed++) {
    const { id } = await client.create({ ...tiny, seed })
    await logits(id)
  }
  const told = (await read('bytes')) - before.told
  const grown = (await held()) - before.held
  expect(grown / told).toBeGreaterThan(0.5)
  expect(grown / told).toBeLessThan(2)
  for (let seed = 31; seed <= 300; seed++) await client.create({ ...tiny, seed })
  expect(await read('bytes')).toBeLessThanOrEqual(budget)
  expect(await read('models')).toBeGreaterThan(20)
  expect((await held()) - before.held).toBeLessThan(2 * budget)
  expect((await model('first')).state).toBe('unloaded')
  expect(await logits('first')).toEqual(wanted)
})

it('a network larger than the budget is served alone', async () => {
  running = await startService({ MEMORY_BUDGET_BYTES: '1' })
  await running.client.create({ ...tiny, name: 'first' })
  await running.client.create({ ...tiny, name: 'second', seed: 1 })
  expect(await states()).toEqual({ first: 'unloaded', second: 'ready' })
  expect(await logits('first')).toHaveLength(1)
  expect(await states()).toEqual({ first: 'ready', second: 'unloaded' })
})

it('a model that the engine keeps losing is 503; others are served', async () => {
  running = await startService()
  await running.client.create({ ...tiny, name: 'lost' })
  await running.client.create({ ...tiny, name: 'other', seed: 1 })
  const { engine } = running.service
  const predict = engine.predict.bind(engine)
  const asked = vi.spyOn(engine, 'predict').mockImplementation(async (batch) => {
    await engine.unload(batch.id)
    return predict(batch)
  })
  const answer = await running.client.upload('/v1/models/lost/predict', pixelPng, 'image/png')
  expectProblem(answer, { status: 503, code: 'MODEL_NOT_READY', says: /does not hold model/ })
  expect(answer.headers['retry-after']).toMatch(/^[1-9]\d*$/)
  expect(asked).toHaveBeenCalledTimes(2)
  asked.mockRestore()
  expect(await logits('other')).toHaveLength(1)
  // A new creation restores the model.
  await running.client.delete(`/v1/models/${(await model('lost')).id}`)
  await running.client.create({ ...tiny, name: 'lost' })
  expect(await logits('lost')).toHaveLength(1)
})
