import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { startService } from '../../bench/lib/service.mjs'
import { Mixture } from '../lib/mixture.mjs'
import { progress, runProof } from '../lib/part.mjs'
import { processesOf } from '../lib/processes.mjs'

/**
 * Half an hour of mixed load: predictions of more models than fit in the memory budget, over every protocol,
 * beside models that come and go, statistics, signals, exports, invalid input and aborted calls. Memory and
 * descriptors of each process stay at the level after the warm-up, a model's results do not change, and every
 * status is expected.
 */
const SECONDS = 30 * 60
/** Share of the time: code is compiled, pools and tables fill. */
const WARM_UP = 0.25
const SAMPLE_MS = 1000
/** Pause without calls and connections, until the work of aborted calls has ended. */
const QUIET_MS = 5000
/**
 * Allowed growth of a process's memory, from the mean of the first measured quarter to the mean of the last.
 */
const GROWTH = { share: 0.05, megabytes: 10 }
/** In a short run pools and tables still fill, so it checks descriptors, responses and coarse leaks only. */
const SHORT = { seconds: 10 * 60, megabytes: 60 }
/** Memory for half of the models, so that they evict each other. */
const MEMORY_BUDGET_BYTES = '5000000'

/** @typedef {import('../lib/processes.mjs').Process} Process */

await runProof('endurance', async (share) => {
  const folder = await mkdtemp(join(tmpdir(), 'resinit-endurance-'))
  const service = await startService(folder, { MEMORY_BUDGET_BYTES })
  const mixture = new Mixture(service.url)
  const { pid } = service
  try {
    await mixture.prepare()
    const seconds = SECONDS * share
    await load(seconds * WARM_UP)
    await pause(QUIET_MS)
    const before = await processesOf(pid)
    const samples = await load(seconds * (1 - WARM_UP))
    await pause(QUIET_MS)
    const after = await processesOf(pid)
    const megabytes = seconds < SHORT.seconds ? SHORT.megabytes : GROWTH.megabytes
    const memory = before.map((process) => growthOf(process, samples, megabytes))
    const failures = [
      ...mixture.failures,
      ...memory
        .filter(({ failed }) => failed)
        .map(({ role, first, last }) => `${role} grew from ${String(first)} to ${String(last)} MB`),
      ...before.flatMap(({ role, pid: old, descriptors }, at) => {
        const now = after[at]
        if (now?.pid !== old) return [`the ${role} was restarted`]
        if (now.descriptors === descriptors) return []
        return [`${role} had ${String(descriptors)} descriptors and has ${String(now.descriptors)}`]
      }),
    ]
    const count = [...mixture.counts.values()].reduce((sum, calls) => sum + calls, 0)
    const found = {
      minutes: Number((seconds / 60).toFixed(1)),
      answers: Object.fromEntries([...mixture.counts].toSorted()),
      megabytes: Object.fromEntries(memory.map(({ role, first, last }) => [role, [first, last]])),
      descriptors: Object.fromEntries(
        before.map(({ role, descriptors }, at) => [role, [descriptors, after[at]?.descriptors]]),
      ),
    }
    return { count, failures, found }
  } finally {
    await service.stop()
    await rm(folder, { recursive: true, force: true })
  }

  /** Samples of all processes during the load. @param {number} time */
  async function load(time) {
    const over = new AbortController()
    const calls = mixture.run(over.signal)
    /** @type {Process[][]} */
    const seen = []
    const end = Date.now() + time * 1000
    while (Date.now() < end) {
      await pause(SAMPLE_MS)
      seen.push(await processesOf(pid))
      if (seen.length % 30 === 0)
        progress(
          seen
            .at(-1)
            ?.map(
              ({ role, megabytes, descriptors }) =>
                `${role} ${megabytes.toFixed(1)} MB ${String(descriptors)}`,
            )
            .join(', ') ?? '',
        )
    }
    over.abort()
    await calls
    return seen
  }
})

/** @param {Process} process @param {readonly Process[][]} samples @param {number} least Growth below it is ignored. */
function growthOf({ pid, role }, samples, least) {
  const megabytes = samples.flatMap((all) => all.filter((one) => one.pid === pid).map((one) => one.megabytes))
  const quarter = Math.ceil(megabytes.length / 4)
  const mean = (/** @type {readonly number[]} */ list) =>
    list.reduce((sum, value) => sum + value, 0) / list.length
  const [first, last] = [mean(megabytes.slice(0, quarter)), mean(megabytes.slice(-quarter))]
  const failed = last - first > Math.max(least, GROWTH.share * first)
  return { role, first: Number(first.toFixed(1)), last: Number(last.toFixed(1)), failed }
}
