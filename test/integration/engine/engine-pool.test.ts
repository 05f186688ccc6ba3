import { pino } from 'pino'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { Batch, Engine } from '../../../src/engine/contract.ts'
import { startPool } from '../../../src/engine/client/engine-pool.ts'
import { startEngine } from '../../../src/engine/client/engine-process.ts'
import { planRequest } from '../../../src/network/plan.ts'
import { arithmeticImage } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'

const { id, specification } = planRequest({ ...tiny, preprocessing: 'unit' } as never, 1e6)
const shape = [8, 8, 3]
const batch: Batch = { id, count: 1, values: arithmeticImage(shape), k: 1, vectors: ['logits'] }
const members: Engine[] = []
const lost = vi.fn()
let pool: Engine
beforeAll(async () => {
  pool = startPool(
    ['first', 'second'],
    (_, onLost) => {
      const engine = startEngine({ logger: pino({ level: 'silent' }), threads: 1, onLost, timeoutMs: 60_000 })
      members.push(engine)
      return engine
    },
    lost,
  )
  await pool.info()
})
afterAll(() => pool.close())

it('is ready like one engine, and computes on each at the same time', async () => {
  expect(pool).toMatchObject({ ready: true, concurrency: 2, restarts: 0 })
  await expect(pool.predict(batch)).rejects.toMatchObject({ code: 'MODEL_NOT_READY' })
  const { seal } = await pool.build({ id, specification })
  const asked = members.map((engine) => vi.spyOn(engine, 'predict'))
  const results = await Promise.all([pool.predict(batch), pool.predict(batch)])
  expect(asked.map(({ mock }) => mock.calls.length)).toEqual([1, 1])
  expect(results[0].vectors).toEqual(results[1].vectors)
  for (const spy of asked) spy.mockRestore()
  expect((await members[1]?.build({ id, specification }))?.seal).toBe(seal)
})

it('continues when an engine crashes, and restores its models', async () => {
  const [first, second] = members as [Engine, Engine]
  const before = await pool.predict(batch)
  process.kill(first.pid ?? 0, 'SIGKILL')
  await vi.waitUntil(() => !first.ready)
  const other = vi.spyOn(second, 'predict')
  expect((await pool.predict(batch)).vectors).toEqual(before.vectors)
  expect(other).toHaveBeenCalledOnce()
  expect([pool.ready, pool.restarts, lost.mock.calls.length]).toEqual([true, 1, 0])
  other.mockRestore()
  await vi.waitUntil(() => first.predict(batch).then(Boolean, () => false), 20_000)
})

it('reports a model as lost when no engine has it', async () => {
  for (const { pid } of members) process.kill(pid ?? 0, 'SIGKILL')
  await vi.waitUntil(() => lost.mock.calls.length > 0)
  expect(lost.mock.calls).toEqual([[id]])
  await expect(pool.predict(batch)).rejects.toMatchObject({ code: 'MODEL_NOT_READY' })
  await pool.build({ id, specification })
  expect((await pool.predict(batch)).vectors.logits).toHaveLength(5)
  await pool.unload(id)
  await expect(pool.predict(batch)).rejects.toMatchObject({ code: 'MODEL_NOT_READY' })
})
