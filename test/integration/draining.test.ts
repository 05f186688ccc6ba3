import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { Agent, request, type IncomingMessage } from 'node:http'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startProcess, type ServiceProcess } from '../support/process.ts'
import { temporaryFolder } from '../support/service.ts'

const DELAY_MS = 2000
const CLIENTS = 8

let folder: string
let running: ServiceProcess
beforeAll(async () => {
  folder = await temporaryFolder()
  running = await startProcess({ DATA_DIR: folder, DRAIN_DELAY_MS: String(DELAY_MS) })
})
afterAll(() => rm(folder, { recursive: true }))

interface Answered {
  readonly status: number | undefined
  readonly connection: string | undefined
}

/** One request over a connection that the agent keeps, or opens anew; rejects where it gets no answer. */
function ask(agent: Agent, path: string): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const asked = request(new URL(path, running.client.url), { agent }, (answer) => {
      answer.resume().once('end', () => {
        resolve({ status: answer.statusCode, connection: answer.headers.connection })
      })
    })
    asked.once('error', reject).end()
  })
}

it('after SIGTERM requests are served during the drain, each on a closing connection, and none is cut', async () => {
  const agents = Array.from({ length: CLIENTS }, () => new Agent({ keepAlive: true, maxSockets: 1 }))
  const first = await Promise.all(agents.map((agent) => ask(agent, '/v1/initializers')))
  const stopped = performance.now()
  const ended = running.stop()
  // As long as a balancer may take to look elsewhere.
  const loads = agents.map(async (agent) => {
    const answers: Answered[] = []
    while (performance.now() - stopped < DELAY_MS * 0.7) answers.push(await ask(agent, '/v1/initializers'))
    return answers
  })
  const answers = (await Promise.all(loads)).flat()
  const ready = await ask(new Agent(), '/readyz')
  expect(first.map(({ connection }) => connection)).toEqual(agents.map(() => 'keep-alive'))
  expect(answers.length).toBeGreaterThan(5 * CLIENTS)
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
  expect(answers.at(-1)?.connection).toBe('close')
  expect(ready).toEqual({ status: 503, connection: 'close' })
  expect(await ended).toBe(0)
  expect(performance.now() - stopped).toBeGreaterThan(DELAY_MS)
  for (const agent of agents) agent.destroy()
})

it('SIGINT skips the drain', async () => {
  running = await startProcess({ DATA_DIR: folder, DRAIN_DELAY_MS: '600000' })
  expect(await running.stop('SIGINT')).toBe(0)
})

it('a second signal exits at once', async () => {
  running = await startProcess({ DATA_DIR: folder, DRAIN_DELAY_MS: '600000' })
  const ended = running.stop()
  while ((await ask(new Agent(), '/readyz')).status !== 503);
  process.kill(running.pid, 'SIGTERM')
  expect(await ended).toBe(1)
})

it('requests that exceed the shutdown time get 503, and the process exits', async () => {
  running = await startProcess({ DATA_DIR: folder, SHUTDOWN_TIMEOUT_MS: '20000' })
  // Its body never ends; that it was begun says the service itself.
  const head = { 'content-type': 'application/json', 'content-length': '100', expect: '100-continue' }
  const asked = request(new URL('/v1/plans', running.client.url), { method: 'POST', headers: head })
  const answered = once(asked, 'response') as Promise<[IncomingMessage]>
  asked.flushHeaders()
  await once(asked, 'continue')
  asked.write('{')
  const stopped = performance.now()
  const ended = running.stop()
  const [answer] = await answered
  expect(answer.statusCode).toBe(503)
  expect(answer.headers.connection).toBe('close')
  expect(await ended).toBe(0)
  expect(performance.now() - stopped).toBeGreaterThan(14_000)
  asked.destroy()
})
