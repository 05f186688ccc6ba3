import { rm } from 'node:fs/promises'
import { get } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { untilRead, whileHalted } from '../../support/halt.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { startProcess, type ServiceProcess } from '../../support/process.ts'
import type { Answer } from '../../support/client.ts'
import { temporaryFolder } from '../../support/service.ts'

let folder: string
let running: ServiceProcess
beforeAll(async () => {
  folder = await temporaryFolder()
  running = await startProcess({ DATA_DIR: folder, MAX_ANALYSIS_QUEUE: '1' })
  const { id } = await running.client.create({ ...tiny, name: 'net' })
  await running.client.withDigest(id)
})
afterAll(async () => {
  await running.stop()
  await rm(folder, { recursive: true })
})

let asked = 0
/** Every request differs, because equal requests share one computation. */
const question = () => `/v1/models/net/statistics?bins=${String(++asked)}`
const statistics = () => running.client.get(question())
const halted = <R>(act: () => Promise<R>): Promise<R> => whileHalted(running.workers.get('analysis'), act)

it('rejects requests beyond its bound with Retry-After', async () => {
  const { answers, refused } = await halted(async () => {
    const answers = [statistics(), statistics()]
    await untilRead(running.client)
    return {
      answers,
      refused: [await statistics(), await running.client.get('/v1/models/net/weights')],
    }
  })
  for (const answer of refused) {
    expectProblem(answer, { status: 429, code: 'QUEUE_FULL', says: /MAX_ANALYSIS_QUEUE/ })
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
  }
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200])
})

it('finishes an export that has begun, and computes the digest of a new model', async () => {
  const { exported, first, created } = await halted(async () => {
    const first = statistics()
    await untilRead(running.client)
    const second = running.client.get('/v1/models/net/weights')
    await untilRead(running.client)
    const model = await running.client.create({ ...tiny, seed: 1 })
    return { exported: second, first, created: model }
  })
  expect((await first).status).toBe(200)
  expect((await exported).status).toBe(200)
  expect((await exported).bytes).toHaveLength(Number((await exported).headers['content-length']))
  await running.client.withDigest(created.id)
})

/** Longer than a rejection takes on a busy machine. */
const REFUSED_WITHIN_MS = 2000

/** Repeats the request until it is admitted. The service may notice closed connections late. */
async function admitted(): Promise<{ answer: Promise<Answer> }> {
  for (;;) {
    const answer = statistics()
    const refused = await Promise.race([answer, pause(REFUSED_WITHIN_MS)])
    if (refused === undefined) return { answer }
  }
}

it('removes requests of clients that disconnect', async () => {
  await halted(async () => {
    const first = statistics()
    await untilRead(running.client)
    for (let caller = 0; caller < 5; caller++) {
      const request = get(`${running.client.url}${question()}`)
      request.on('error', () => undefined)
      await new Promise((resolve) => request.once('socket', resolve))
      await untilRead(running.client)
      request.destroy()
      await untilRead(running.client)
    }
    return { first, second: await admitted() }
  }).then(async ({ first, second }) => {
    expect([(await first).status, (await second.answer).status]).toEqual([200, 200])
  })
})
