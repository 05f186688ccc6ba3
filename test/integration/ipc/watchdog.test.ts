import { rm } from 'node:fs/promises'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { Answer } from '../../support/client.ts'
import { halt } from '../../support/halt.ts'
import { npy } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { startProcess, type ServiceProcess } from '../../support/process.ts'
import { temporaryFolder } from '../../support/service.ts'

let folder: string
let running: ServiceProcess
beforeAll(async () => {
  folder = await temporaryFolder()
  running = await startProcess({ DATA_DIR: folder, ENGINES: '1' })
  await running.client.create({ ...tiny, name: 'net' })
})
afterAll(async () => {
  await running.stop()
  await rm(folder, { recursive: true })
})

const readiness = () => running.client.get('/readyz')
const untilReady = (status: number) =>
  vi.waitUntil(async () => (await readiness()).status === status, { interval: 50, timeout: 60_000 })

it.each([
  ['analysis', (): Promise<Answer> => running.client.get('/v1/models/net/statistics')],
  [
    'engine',
    (): Promise<Answer> => {
      const image = npy([1, 8, 8, 3], new Uint8Array(192))
      return running.client.upload('/v1/models/net/predict', image, 'application/x-npy')
    },
  ],
] as const)(
  'an %s that the system has stopped is not ready, then killed, and its calls are answered',
  async (name, ask) => {
    const stopped = running.workers.get(name)
    for (const isIdle of [false, true]) {
      await untilReady(200)
      halt(running.workers.get(name))
      const answer = isIdle ? undefined : ask()
      await untilReady(503)
      const problem = await readiness()
      expectProblem(problem, {
        ...{ status: 503, code: 'ENGINE_UNAVAILABLE' },
        says: new RegExp(`the ${name} is restarting or does not answer`),
      })
      expect((await running.client.get('/livez')).status).toBe(200)
      if (answer !== undefined) expect((await answer).status).toBe(200)
      await untilReady(200)
      expect((await ask()).status).toBe(200)
    }
    expect(running.workers.get(name)).not.toBe(stopped)
    const killed = running.log.filter(
      ({ msg, worker }) => worker === name && msg === 'worker was stopped and is killed',
    )
    expect(killed).toHaveLength(2)
  },
)
