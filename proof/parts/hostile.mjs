import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { announce, attacksOf, dribble } from '../lib/attacks.mjs'
import { progress, runProof } from '../lib/part.mjs'
import { startProber } from '../lib/probing.mjs'
import { processesOf } from '../lib/processes.mjs'
import { json, specification } from '../lib/requests.mjs'
import { startWithClient } from '../lib/service.mjs'

/**
 * Attacks, one after another: each request is rejected or served with an expected status, no process ends,
 * and meanwhile /livez responds to a separate process in time.
 */
const LIVE_MS = 100
const REPEATS = 5
const SLOW = 500
const PARALLEL = 1000
/** Number per route. */
const ANNOUNCED = 40

await runProof('hostile', async (share) => {
  const folder = await mkdtemp(join(tmpdir(), 'resinit-hostile-'))
  const service = await startWithClient(folder, { HEAD_TIMEOUT_MS: '3000', UPLOAD_TIMEOUT_MS: '5000' })
  const { client, pid, url } = service
  /** @type {string[]} */
  const failures = []
  /** @type {Record<string, object>} */
  const found = {}
  let count = 0
  const scaled = (/** @type {number} */ all) => Math.ceil(all * share)
  try {
    await client.send(json('/v1/models', { ...specification(0), name: 'net' }))
    const before = await processesOf(pid)

    const attacks = attacksOf()
    for (const { name, request, wanted } of attacks) {
      await attack(name, async () => {
        for (let times = scaled(REPEATS); times > 0; times -= 1) await ask(name, request, wanted)
      })
    }
    await attack('in parallel', () =>
      Promise.all(
        Array.from({ length: scaled(PARALLEL) }, (_, index) =>
          // Not an image; every tenth is one megabyte.
          ask(
            'in parallel',
            { path: '/v1/models/net/predict', body: Buffer.alloc(index % 10 === 0 ? 1e6 : 10, 'no image') },
            [422, 429],
          ),
        ),
      ),
    )
    for (const where of /** @type {const} */ (['head', 'body'])) {
      await attack(`slow in the ${where}`, async () => {
        const slow = scaled(SLOW)
        count += slow
        const left = await dribble(url, where, slow)
        if (left > 0)
          failures.push(`${String(left)} of ${String(slow)} connections slow in the ${where} are still open`)
      })
    }
    for (const pace of /** @type {const} */ (['silent', 'slow'])) {
      await attack(`announced bodies, ${pace}`, () =>
        announce(url, pace, scaled(ANNOUNCED), async () => {
          for (let times = scaled(REPEATS); times > 0; times -= 1) {
            await ask('a plan meanwhile', json('/v1/plans', specification(0)), [200])
            // Not an image; status 422 shows that the body was admitted and read.
            await ask(
              'a prediction meanwhile',
              { path: '/v1/models/net/predict', body: Buffer.from('no image') },
              [422],
            )
          }
        }),
      )
    }
    const after = await processesOf(pid)
    for (const [at, { role, pid: old }] of before.entries())
      if (after[at]?.pid !== old) failures.push(`the ${role} was restarted`)
    return { count, failures, found: { livez_ms: found } }
  } finally {
    await service.stop()
    await rm(folder, { recursive: true, force: true })
  }

  /** @param {string} name @param {import('../lib/client.mjs').Request} request @param {readonly number[]} wanted */
  async function ask(name, request, wanted) {
    count += 1
    const { status, bytes } = await client.send(request).catch(refusedMidway)
    if (!wanted.includes(status))
      failures.push(`${name}: ${String(status)} ${bytes.toString().slice(0, 200)}`)
  }

  /** @param {string} name @param {() => Promise<unknown>} run */
  async function attack(name, run) {
    progress(name)
    const stopProber = await startProber(url, '/livez')
    await run()
    const { failed, longest, longestStall } = await stopProber()
    found[name] = { longest: Math.round(longest), machine: Math.round(longestStall) }
    if (failed > 0) failures.push(`${name}: /livez failed ${String(failed)} times`)
    // The machine's stalls of the prober do not count.
    if (longest - longestStall > LIVE_MS) failures.push(`${name}: /livez took ${longest.toFixed(0)} ms`)
  }
})

/**
 * A service may reject by its head and close before the whole body was sent; then there is nothing to read.
 * @param {unknown} error
 */
function refusedMidway(error) {
  const { code } = /** @type {NodeJS.ErrnoException} */ (error)
  if (code === 'EPIPE' || code === 'ECONNRESET') return { status: 413, bytes: Buffer.alloc(0) }
  throw error
}
