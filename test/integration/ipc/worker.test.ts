import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { childEntry } from '../../../src/ipc/child-entry.ts'
import { Worker } from '../../../src/ipc/worker.ts'
import type { WorkerOptions } from '../../../src/ipc/worker-options.ts'
import { refusalOf } from '../../unit/support/errors.ts'
import { halt, kill, resume } from '../../support/halt.ts'
import { temporaryFolder } from '../../support/service.ts'

interface Methods {
  echo(text: string): Promise<string>
  /** Exits during the first call. */
  dieOnce(): Promise<string>
  /** Reports progress, and runs until it is cancelled. */
  forever(): Promise<never>
  /** The number of cancelled `forever` calls. */
  stopped(): Promise<number>
  /** Never answers, even if cancelled. */
  hang(): Promise<string>
  /** Answers after this many steps of this duration. */
  walk(steps: number, ms: number): Promise<string>
  /** Answers, and blocks the event loop from then on. */
  freeze(): Promise<string>
}

let folder: string
let broken: string
let silent: string
let worker: Worker<Methods, string>
beforeEach(async () => {
  folder = await temporaryFolder()
  broken = join(folder, 'broken')
  silent = join(folder, 'silent')
})
afterEach(async () => {
  await worker.close()
  await rm(folder, { recursive: true })
})

/**
 * Starts a child that exits if the file `broken` exists, and does not start while the file `silent` exists.
 */
async function start(options: Partial<WorkerOptions> = {}): Promise<void> {
  const entry = join(folder, 'child.mjs')
  const source = `
import { existsSync, writeFileSync } from 'node:fs'
import { checkpoint } from ${JSON.stringify(childEntry('common/cancellation.js').href)}
import { answerCalls } from ${JSON.stringify(childEntry('ipc/child.js').href)}
if (existsSync(${JSON.stringify(broken)})) process.exit(1)
while (existsSync(${JSON.stringify(silent)})) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000)
const dieOnce = () => {
  if (existsSync(${JSON.stringify(join(folder, 'died'))})) return 'alive'
  writeFileSync(${JSON.stringify(join(folder, 'died'))}, '')
  process.exit(1)
}
let stopped = 0
const forever = async (job) => {
  job.progress({ done: 0, total: 1 })
  try {
    for (;;) await checkpoint(job)
  } finally {
    stopped += 1
  }
}
const hang = () => new Promise(() => undefined)
const compute = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
const walk = async (steps, ms, job) => {
  for (let step = 0; step < steps; step++) {
    compute(ms)
    await checkpoint(job)
  }
  return 'arrived'
}
const freeze = () => {
  setTimeout(() => compute(Infinity), 10)
  return 'soon'
}
answerCalls({ echo: (text) => text, dieOnce, hang, walk, freeze, forever, stopped: () => stopped }, 'well')
`
  await writeFile(entry, source)
  const logger = pino({ level: 'silent' })
  worker = new Worker({ name: 'worker', entry: pathToFileURL(entry), env: {}, logger, ...options })
}

it('gives up a first start after three attempts', async () => {
  await writeFile(broken, '')
  await start()
  expect((await refusalOf(worker.info())).code).toBe('ENGINE_UNAVAILABLE')
  expect((await refusalOf(worker.call('echo', 'a'))).code).toBe('ENGINE_UNAVAILABLE')
  expect(worker.restarts).toBe(3)
})

it('restarts without a limit after a first start, and rejects calls meanwhile', async () => {
  await start()
  expect(await worker.info()).toBe('well')
  // The worker has no call yet.
  await writeFile(broken, '')
  kill(worker.pid)
  await vi.waitUntil(() => worker.restarts > 0, { interval: 5, timeout: 20_000 })
  expect((await refusalOf(worker.call('echo', 'a'))).code).toBe('ENGINE_UNAVAILABLE')
  expect(await worker.info()).toBe('well')
  await rm(broken)
  await vi.waitUntil(() => worker.ready, { interval: 5, timeout: 30_000 })
  expect(await worker.call('echo', 'b')).toBe('b')
})

it('rejects waiting calls when it closes', async () => {
  await start()
  const waiting = refusalOf(worker.call('echo', 'a'))
  await worker.close()
  expect((await waiting).code).toBe('SHUTTING_DOWN')
  expect((await refusalOf(worker.call('echo', 'a'))).code).toBe('SHUTTING_DOWN')
})

it('retries pure calls once after a crash', async () => {
  await start({ retryOnCrash: true })
  expect(await worker.call('dieOnce')).toBe('alive')
  expect(worker.restarts).toBe(1)
})

it('does not retry other calls', async () => {
  await start()
  expect((await refusalOf(worker.call('dieOnce'))).code).toBe('ENGINE_CRASHED')
})

it('reports the progress of a call, and cancels it in the child when the caller aborts', async () => {
  await start()
  const controller = new AbortController()
  const reason = new Error('no longer wanted')
  const begun = await new Promise((resolve) => {
    const call = worker.callWith({ signal: controller.signal, progress: resolve }, 'forever')
    call.catch(() => undefined)
  })
  expect(begun).toEqual({ done: 0, total: 1 })
  const unsent = worker.callWith({ signal: controller.signal }, 'forever')
  controller.abort(reason)
  await expect(unsent).rejects.toBe(reason)
  await vi.waitUntil(async () => (await worker.call('stopped')) === 1, { interval: 5, timeout: 20_000 })
  await expect(worker.callWith({ signal: controller.signal }, 'echo', 'a')).rejects.toBe(reason)
})

it('is killed after silence during a call only', async () => {
  await start({ timeoutMs: 400 })
  expect(await worker.info()).toBe('well')
  // Longer than the limit, without a call.
  await new Promise((resolve) => setTimeout(resolve, 1000))
  expect(worker.restarts).toBe(0)
  expect((await refusalOf(worker.call('hang'))).code).toBe('ENGINE_CRASHED')
  expect(worker.restarts).toBe(1)
  expect(await worker.call('echo', 'a')).toBe('a')
})

it('is not killed while its steps report progress', async () => {
  await start({ timeoutMs: 2000 })
  expect(await worker.call('walk', 30, 200)).toBe('arrived')
  expect(worker.restarts).toBe(0)
})

it('is killed when it hangs without a call', async () => {
  await start({ timeoutMs: 400 })
  expect(await worker.call('freeze')).toBe('soon')
  await vi.waitUntil(() => worker.restarts === 1, { interval: 5, timeout: 30_000 })
  expect(await worker.call('echo', 'a')).toBe('a')
})

it('is killed when it does not stop a cancelled call', async () => {
  await start({ timeoutMs: 400 })
  const controller = new AbortController()
  const call = worker.callWith({ signal: controller.signal }, 'hang')
  // This answer shows that the child has received the other call.
  expect(await worker.call('echo', 'a')).toBe('a')
  controller.abort(new Error('left'))
  await expect(call).rejects.toThrow('left')
  await vi.waitUntil(() => worker.restarts === 1, { interval: 5, timeout: 30_000 })
})

it('is not ready while the system has stopped it, and is killed after a time limit; its calls are retried', async () => {
  await start({ retryOnCrash: true })
  expect(await worker.info()).toBe('well')
  halt(worker.pid)
  const answer = worker.call('echo', 'a')
  await vi.waitUntil(() => !worker.ready, { interval: 5, timeout: 30_000 })
  expect(worker.restarts).toBe(0)
  expect(await answer).toBe('a')
  expect(worker.restarts).toBe(1)
  expect(worker.ready).toBe(true)
})

it('continues after a short stop', async () => {
  await start()
  expect(await worker.info()).toBe('well')
  halt(worker.pid)
  await vi.waitUntil(() => !worker.ready, { interval: 5, timeout: 30_000 })
  resume(worker.pid)
  expect(await worker.call('echo', 'a')).toBe('a')
  await vi.waitUntil(() => worker.ready, { interval: 5, timeout: 30_000 })
  expect(worker.restarts).toBe(0)
})

it('is killed when it does not become ready in time', async () => {
  await writeFile(silent, '')
  await start({ startTimeoutMs: 3000 })
  await vi.waitUntil(() => worker.restarts > 0, { interval: 5, timeout: 30_000 })
  await rm(silent)
  expect(await worker.info()).toBe('well')
  expect(await worker.call('echo', 'a')).toBe('a')
})

it('restarts with growing delays after early crashes, up to a second if it was ready', async () => {
  const pauses: number[] = []
  const stream = {
    write: (line: string) => {
      const { ms, msg } = JSON.parse(line) as { ms: number; msg: string }
      if (msg.includes('after a pause')) pauses.push(ms)
    },
  }
  await start({ logger: pino({}, stream) })
  for (let deaths = 1; deaths <= 5; deaths++) {
    expect(await worker.call('echo', 'a')).toBe('a')
    kill(worker.pid)
    await vi.waitUntil(() => worker.restarts === deaths, { interval: 5, timeout: 20_000 })
  }
  expect(pauses).toEqual([100, 200, 400, 800, 1000])
})
