import { bombCases } from '../lib/case-bombs.mjs'
import { imageCases } from '../lib/case-images.mjs'
import { momentCases } from '../lib/case-moments.mjs'
import { oddityCases } from '../lib/case-oddities.mjs'
import { requestCases } from '../lib/case-requests.mjs'
import { Choices } from '../lib/choices.mjs'
import { progress, runProof } from '../lib/part.mjs'
import { startProber } from '../lib/probing.mjs'
import { withLimitedService } from '../lib/service.mjs'
import { windowOf, WINDOWS } from '../lib/windows.mjs'

/**
 * Requests that an earlier version answered wrongly, and generated requests of the same kinds. Each has one right answer.
 */
const TIMES = 10
const SEED = 11
const LIMIT_BYTES = 2e9
/** Characters of an unexpected answer that a failure quotes. */
const MAX_ANSWER = 300
/** Cases that may end the service come last. */
const CASES = { ...oddityCases, ...imageCases, ...momentCases, ...requestCases, ...bombCases }

/**
 * `times` is the number of generated inputs, `check` counts one outcome, `probe` times GET /v1/models meanwhile (in ms,
 * without the time for which the machine did not run the prober), `peaks` is the peak memory of each role in bytes.
 * @typedef {object} CaseContext
 * @property {string} url
 * @property {import('../lib/client.mjs').Client} client
 * @property {Choices} choices
 * @property {number} times
 * @property {(name: string, right: boolean, answer: string) => void} check
 * @property {(run: () => Promise<unknown>) => Promise<{ longest: number, failed: number }>} probe
 * @property {() => Readonly<Record<string, number>>} peaks
 * @typedef {(context: CaseContext) => Promise<void>} Case
 */

const models = Object.fromEntries(Object.entries(WINDOWS).map(([name, shape]) => [name, windowOf(shape)]))

await runProof('cases', (share) =>
  withLimitedService(LIMIT_BYTES, models, async ({ service, client, limit, memory }) => {
    const { url } = service
    /** @type {string[]} */
    const failures = []
    /** @type {Record<string, number>} */
    const found = {}
    let count = 0
    for (const [name, run] of Object.entries(CASES)) {
      progress(name)
      const counted = count
      await run({
        ...{ url, client, times: Math.max(1, Math.round(TIMES * share)), choices: new Choices(SEED) },
        check: (what, right, answer) => {
          count += 1
          if (!right) failures.push(`${what}: ${answer.slice(0, MAX_ANSWER)}`)
        },
        probe: async (during) => {
          const stop = await startProber(url, '/v1/models')
          await during()
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
  }),
)
