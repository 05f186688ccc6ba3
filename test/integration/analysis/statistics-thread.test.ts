import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { StatisticsThread } from '../../../src/analysis/worker/statistics-thread-client.ts'
import { Sampler } from '../../../src/tensorflow/sampler.ts'
import { Spectra } from '../../../src/analysis/worker/spectra.ts'
import { measureWeights } from '../../../src/analysis/worker/model-statistics.ts'
import { withWeights, type WeightTensor } from '../../../src/tensorflow/weight-sources.ts'
import { openBackend } from '../../../src/tensorflow/binding.ts'
import { planRequest } from '../../../src/network/plan.ts'
import { childEntry } from '../../../src/ipc/child-entry.ts'
import { measured } from '../../unit/support/measured.ts'
import { tiny } from '../../support/networks.ts'
import { temporaryFolder } from '../../support/service.ts'

/* The thread that measures what the analysis draws. */

const options = { histogram: true, quantiles: true, spectrum: false, operatorSpectrum: false, bins: 16 }
const { specification } = planRequest(
  { architecture: tiny.architecture, classes: 5 },
  Number.MAX_SAFE_INTEGER,
)
const statisticsThread = new StatisticsThread()
let sampler: Sampler
let spectra: Spectra
beforeAll(async () => {
  const backend = await openBackend()
  sampler = await Sampler.open(backend)
  spectra = await Spectra.open(backend)
})
afterAll(() => statisticsThread.close())

/** The tensors of a network, drawn and loaded; one value is not finite. */
async function tensorsOf(signal: AbortSignal): Promise<readonly WeightTensor[]> {
  const job = { signal, progress: () => undefined, alive: () => undefined }
  const drawn = await withWeights(sampler, { specification }, job, (tensors) => Promise.resolve(tensors))
  const loaded = drawn.map((tensor) => ({ ...tensor, name: `loaded/${tensor.name}`, law: null }))
  const broken = drawn.slice(0, 1).map((tensor) => ({
    ...tensor,
    name: 'broken',
    slices: async function* () {
      for await (const values of tensor.slices()) {
        values[1] = NaN
        // In slices of different sizes.
        yield values.slice(0, 100)
        yield values.slice(100)
      }
    },
  }))
  return [...drawn, ...loaded, ...broken].filter(({ trainable }) => trainable)
}
const statistics = async (signal = new AbortController().signal, bins = options.bins) =>
  measureWeights(await tensorsOf(signal), { ...options, bins }, { statisticsThread, spectra })

/** Measured on this thread, tensor by tensor. */
async function expected() {
  const all = createHash('sha256')
  const records: string[] = []
  for (const tensor of await tensorsOf(new AbortController().signal)) {
    records.push(JSON.stringify(await measured(tensor, options)))
    for await (const values of tensor.slices()) all.update(values)
  }
  return { records, sha256: all.digest('hex') }
}

/** The records and the digest of a measurement on this thread. */
async function found() {
  const { parameters, totals } = await statistics()
  const records = parameters.map(({ name: _1, tensor_name: _2, initializer: _3, factor: _4, ...record }) =>
    JSON.stringify(record),
  )
  return { records, sha256: totals.sha256 }
}

it('gives the same records and digest as a single thread, byte for byte', async () => {
  expect(await found()).toEqual(await expected())
})

it('is correct after a job that was cancelled between slices', async () => {
  const whole = await expected()
  for (const steps of [1, 4, 9]) {
    const controller = new AbortController()
    const cancelled = statistics(controller.signal)
    const refused = expect(cancelled).rejects.toThrow('enough')
    for (let step = 0; step < steps; step++) await new Promise(setImmediate)
    controller.abort(new Error('enough'))
    await refused
    expect(await found()).toEqual(whole)
  }
})

it('fails only the job during which it crashes', async () => {
  await expect(statistics(undefined, -1)).rejects.toThrow(RangeError)
  expect(await found()).toEqual(await expected())
})

it('fails the job of a silent thread, and runs the next job on another thread', async () => {
  const folder = await temporaryFolder()
  const entry = join(folder, 'thread.mjs')
  // The thread hangs in the job that finds the file, and removes the file.
  await writeFile(join(folder, 'hang'), '')
  await writeFile(
    entry,
    `
import { existsSync, rmSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
const hang = ${JSON.stringify(join(folder, 'hang'))}
parentPort.on('message', (told) => {
  if (told.kind === 'slice' && existsSync(hang)) {
    rmSync(hang)
    for (;;);
  }
  parentPort.postMessage(told.kind)
})
`,
  )
  const other = new StatisticsThread({ entry: pathToFileURL(entry), timeoutMs: 1000 })
  const slice = 2 ** 22
  const source = {
    shape: [8, slice],
    law: null,
    slices: async function* () {
      for (let index = 0; index < 8; index++) {
        await Promise.resolve()
        yield new Float32Array(slice)
      }
    },
  }
  const record = async (): Promise<unknown> => {
    const onSlice = () => Promise.resolve()
    const found = await other.begin({ digest: false }).measure(source, options, onSlice)
    return found.record
  }
  await expect(record()).rejects.toThrow('the statistics thread was silent for 1000 ms and was ended')
  expect(await record()).toBe('slice')
  await other.close()
  await rm(folder, { recursive: true })
})

it('is never more than two slices behind: 640 MB take less than half of that memory', async () => {
  const module = (path: string): string => JSON.stringify(childEntry(path).href)
  const script = `
import { StatisticsThread } from ${module('analysis/worker/statistics-thread-client.js')}
const statisticsThread = new StatisticsThread()
const [slice, slices] = [2 ** 22, 40]
const source = {
  shape: [slices, slice],
  law: null,
  slices: async function* () {
    for (let index = 0; index < slices; index++) yield new Float32Array(slice).fill(index)
  },
}
const options = { histogram: false, quantiles: true, bins: 8 }
const before = process.resourceUsage().maxRSS
const { record } = await statisticsThread.begin({ digest: true }).measure(source, options, async () => undefined)
const { sample } = await record
console.log(JSON.stringify({ mean: sample.mean, took: (process.resourceUsage().maxRSS - before) * 1024 }))
await statisticsThread.close()
`
  const folder = await temporaryFolder()
  const path = join(folder, 'statistics.mjs')
  await writeFile(path, script)
  const { stdout } = await promisify(execFile)(process.execPath, [path])
  await rm(folder, { recursive: true })
  const { mean, took } = JSON.parse(stdout) as { mean: number; took: number }
  expect(mean).toBeCloseTo(19.5, 10)
  expect(took).toBeLessThan(320e6)
})
