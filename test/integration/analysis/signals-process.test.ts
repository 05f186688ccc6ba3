import { execFile } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { ModelSignals } from '../../../src/http/native/signal-schemas.ts'
import type { Static } from 'typebox'
import { childEntry } from '../../../src/ipc/child-entry.ts'
import { tiny } from '../../support/networks.ts'
import { startProcess, type ServiceProcess } from '../../support/process.ts'
import { temporaryFolder } from '../../support/service.ts'

let folder: string
let running: ServiceProcess
beforeAll(async () => {
  folder = await temporaryFolder()
  running = await startProcess({ DATA_DIR: folder })
})
afterAll(async () => {
  await running.stop()
  await rm(folder, { recursive: true })
})

it('need less memory than estimated, and not much less', async () => {
  const { id } = await running.client.create({
    architecture: { preset: 'resnet18', input_shape: [96, 96, 3] },
  })
  await running.client.withDigest(id)
  /** The peak memory of the analysis process, in bytes. */
  const peak = async (): Promise<number> => {
    const status = await readFile(`/proc/${String(running.workers.get('analysis'))}/status`, 'utf8')
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024
  }
  const before = await peak()
  const { json } = await running.client.post(`/v1/models/${id}/signals`, { batch_size: 16, repeats: 1 })
  const { memory_bytes } = json as Static<typeof ModelSignals>
  const share = ((await peak()) - before) / memory_bytes
  expect(share).toBeLessThan(1)
  expect(share).toBeGreaterThan(0.3)
})

it('leak no tensor, whether they finish or are cancelled', async () => {
  const module = (path: string): string => JSON.stringify(childEntry(path).href)
  const script = `
import { openBackend } from ${module('tensorflow/binding.js')}
import { measureSignals } from ${module('analysis/worker/measure-signals.js')}
import { Sampler } from ${module('tensorflow/sampler.js')}
import { planRequest } from ${module('network/plan.js')}
const backend = await openBackend()
const sampler = await Sampler.open(backend)
const { specification } = planRequest(${JSON.stringify(tiny)}, 1e9)
const request = { seed: 0, repeats: 3, batch_size: 2, mode: 'training' }
const counts = [backend.tf.memory().numTensors]
const done = []
for (const stopAt of [0, 0, 2]) {
  const controller = new AbortController()
  const job = { signal: controller.signal, progress: () => undefined, alive: () => undefined }
  let steps = 0
  const stepped = () => ++steps === stopAt && controller.abort()
  const measured = measureSignals(backend.tf, sampler, { specification }, request, job, stepped)
  done.push(await measured.then(() => steps, () => -steps))
  counts.push(backend.tf.memory().numTensors)
}
console.log(JSON.stringify({ counts, done }))
`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script])
  const { counts, done } = JSON.parse(stdout) as { counts: number[]; done: number[] }
  expect(done).toEqual([3, 3, -2])
  expect(new Set(counts).size, counts.join()).toBe(1)
})
