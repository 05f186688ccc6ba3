import { pino } from 'pino'
import { afterAll, expect, it, vi } from 'vitest'
import { startTwoProcessEngine } from '../../../src/engine/client/two-process-engine.ts'
import type { Batch, Engine } from '../../../src/engine/contract.ts'
import { startEngine } from '../../../src/engine/client/engine-process.ts'
import { planRequest } from '../../../src/network/plan.ts'
import { arithmeticImage } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'

const modelOf = (seed: number) => planRequest({ ...tiny, preprocessing: 'unit', seed } as never, 1e6)
const [one, two, three] = [modelOf(1), modelOf(2), modelOf(3)]
const batchOf = (id: string): Batch => ({
  ...{ id, count: 1, k: 1, vectors: ['logits'] },
  values: arithmeticImage([8, 8, 3]),
})
const members: Engine[] = []
const lost = vi.fn()
const apart = startTwoProcessEngine((onLost) => {
  const engine = startEngine({ logger: pino({ level: 'silent' }), threads: 1, onLost, timeoutMs: 60_000 })
  members.push(engine)
  return engine
}, lost)
afterAll(() => apart.close())

/** The index of the process that computes a prediction of a model. */
async function homeOf(id: string): Promise<number> {
  const spies = members.map((member) => vi.spyOn(member, 'predict'))
  await apart.predict(batchOf(id))
  const home = spies.findIndex(({ mock }) => mock.calls.length > 0)
  for (const spy of spies) spy.mockRestore()
  return home
}

it('is one process while no prediction would be delayed', async () => {
  await apart.info()
  expect(apart).toMatchObject({ ready: true, concurrency: 1, restarts: 0 })
  await expect(apart.predict(batchOf(one.id))).rejects.toMatchObject({ code: 'MODEL_NOT_READY' })
  await apart.build(one)
  await apart.build(two)
  expect(members).toHaveLength(1)
  await apart.unload(two.id)
})

it('builds in a second process while the first predicts, and the model stays there', async () => {
  const before = await apart.predict(batchOf(one.id))
  const built = apart.build(two)
  // The first process receives predictions only.
  const [first] = members as [Engine]
  const build = vi.spyOn(first, 'build')
  expect((await apart.predict(batchOf(one.id))).vectors).toEqual(before.vectors)
  const { seal } = await built
  expect(members).toHaveLength(2)
  expect([await homeOf(one.id), await homeOf(two.id)]).toEqual([0, 1])
  // The process that was used less recently builds. Both give the same bits.
  await apart.build(three)
  expect(await homeOf(three.id)).toBe(0)
  expect(build).toHaveBeenCalledOnce()
  expect((await members[0]?.build(two))?.seal).toBe(seal)
  build.mockRestore()
})

it('a model that is rebuilt in the other process is removed from the first', async () => {
  await apart.predict(batchOf(two.id))
  await apart.build(two)
  expect(await homeOf(two.id)).toBe(0)
  await expect(members[1]?.predict(batchOf(two.id))).rejects.toMatchObject({ code: 'MODEL_NOT_READY' })
  await apart.build(one)
  expect(await homeOf(one.id)).toBe(1)
})

it('loses only the models of a process that crashes', async () => {
  const [first, second] = members as [Engine, Engine]
  process.kill(second.pid ?? 0, 'SIGKILL')
  await vi.waitUntil(() => lost.mock.calls.length > 0)
  expect(lost.mock.calls).toEqual([[one.id]])
  await expect(apart.predict(batchOf(one.id))).rejects.toMatchObject({ code: 'MODEL_NOT_READY' })
  expect((await apart.predict(batchOf(two.id))).vectors.logits).toHaveLength(5)
  // A crashed process builds nothing, although it was used less recently.
  await apart.build(one)
  expect(await homeOf(one.id)).toBe(0)
  await vi.waitUntil(() => second.ready, 20_000)
  expect(apart.restarts).toBe(1)

  process.kill(first.pid ?? 0, 'SIGKILL')
  await vi.waitUntil(() => lost.mock.calls.length === 4)
  expect(lost.mock.calls.slice(1).flat().sort()).toEqual([one.id, two.id, three.id].sort())
  expect(apart.ready).toBe(true)
  await apart.build(one)
  expect(await homeOf(one.id)).toBe(1)
  await apart.unload(one.id)
  await expect(apart.predict(batchOf(one.id))).rejects.toMatchObject({ code: 'MODEL_NOT_READY' })
})
