import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bombCases } from '../lib/case-bombs.mjs'
import { imageCases } from '../lib/case-images.mjs'
import { momentCases } from '../lib/case-moments.mjs'
import { oddityCases } from '../lib/case-oddities.mjs'
import { requestCases } from '../lib/case-requests.mjs'
import { Choices } from '../lib/choices.mjs'
import { Client } from '../lib/client.mjs'
import { startService } from '../lib/lifecycle.mjs'
import { limitMemory } from '../lib/memory-limit.mjs'
import { watchMemory } from '../lib/memory-watch.mjs'
import { progress, runProof } from '../lib/part.mjs'
import { startProber } from '../lib/probing.mjs'
import { json } from '../lib/requests.mjs'
import { windowOf, WINDOWS } from '../lib/windows.mjs'

/**
 * Requests that an earlier version answered wrongly, and generated ones of the same kinds: each has one right answer.
 */
const TIMES = 10
const SEED = 11
const LIMIT_BYTES = 2e9
const SAID = 300
/** Those that may end the service come last. */
const CASES = { ...oddityCases, ...imageCases, ...momentCases, ...requestCases, ...bombCases }

/**
 * What a case is given: `times` is how many inputs it generates, `check` counts one outcome, `probe` watches GET /v1/models
 * meanwhile (in ms, without the time for which the machine did not run the prober), `peaks` is the most memory of each role, in bytes.
 * @typedef {object} CaseContext
 * @property {string} url
 * @property {Client} client
 * @property {Choices} choices
 * @property {number} times
 * @property {(name: string, right: boolean, said: string) => void} check
 * @property {(run: () => Promise<unknown>) => Promise<{ longest: number, failed: number }>} probe
 * @property {() => Readonly<Record<string, number>>} peaks
 * @typedef {(context: CaseContext) => Promise<void>} Case
 */

await runProof('cases', async (share) => {
  const folder = await mkdtemp(join(tmpdir(), 'resinit-cases-'))
  const limit = await limitMemory(LIMIT_BYTES)
  const service = await startService({ DATA_DIR: folder }, { within: limit.within })
  const { url, pid } = service
  const client = new Client(url)
  const memory = watchMemory(limit, pid)
  /** @type {string[]} */
  const failures = []
  /** @type {Record<string, number>} */
  const found = {}
  let count = 0
  try {
    for (const [name, shape] of Object.entries(WINDOWS)) {
      const { status, bytes } = await client.send(json('/v1/models', { ...windowOf(shape), name }))
      if (status !== 201) throw new Error(bytes.toString())
    }
    for (const [name, ask] of Object.entries(CASES)) {
      progress(name)
      const counted = count
      await ask({
        ...{ url, client, times: Math.max(1, Math.round(TIMES * share)), choices: new Choices(SEED) },
        check: (what, right, said) => {
          count += 1
          if (!right) failures.push(`${what}: ${said.slice(0, SAID)}`)
        },
        probe: async (run) => {
          const stop = await startProber(url, '/v1/models')
          await run()
          const { longest, longestStall, failed } = await stop()
          return { longest: longest - longestStall, failed }
        },
        peaks: () => memory.peaks.each,
      })
      found[name] = count - counted
    }
    const kills = await limit.kills()
    if (kills > 0) failures.push(`the kernel killed ${String(kills)} processes`)
    return { count, failures, found }
  } finally {
    client.close()
    await memory.stop()
    service.signalGroup('SIGKILL')
    await service.ended
    await limit.remove()
    await rm(folder, { recursive: true, force: true })
  }
})
