import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { askInTurn } from '../lib/load.mjs'
import { photograph, specifications } from '../lib/networks.mjs'
import { runPart, table } from '../lib/part.mjs'
import { median, spread } from '../lib/rounds.mjs'
import { createModel, pidsOf, startService } from '../lib/service.mjs'

/**
 * What is there beside computing: of one client's predictions of the tiny network the time that is not the engine's, as
 * the service has it (`timing_ms`) and as the client has; and what processors are used when nobody asks.
 */
const REQUESTS = 500
const BOUNDS = { ms: 3, idle: 1 }
/** After the last answer V8 collects what it has put off: each child for 0.2 s, once within half a minute. */
const SETTLE_S = 30
/** Of /proc, on every Linux. */
const TICKS_PER_SECOND = 100

await runPart('overhead', { rounds: 3, seconds: 20 }, async ({ rounds, seconds }) => {
  const folder = await mkdtemp(join(tmpdir(), 'resinit-bench-'))
  const service = await startService(folder)
  try {
    const { id } = await createModel(service, specifications.tiny)
    const request = {
      ...{ path: `/v1/models/${id}/predict`, headers: { 'content-type': 'image/jpeg' } },
      body: await photograph(),
    }
    await askInTurn(service.url, request, REQUESTS)
    const [told, seen] = [/** @type {number[]} */ ([]), /** @type {number[]} */ ([])]
    for (let round = 1; round <= rounds; round++) {
      const answers = (await askInTurn(service.url, request, REQUESTS)).map(({ body, ms }) => {
        /** @type {{ timing_ms: { total: number, compute: number } }} */
        const { timing_ms: timing } = JSON.parse(body.toString())
        return { told: timing.total - timing.compute, seen: ms - timing.compute }
      })
      told.push(median(answers.map((one) => one.told)))
      seen.push(median(answers.map((one) => one.seen)))
    }
    await pause(SETTLE_S * 1000)
    const before = await processorSeconds(service.pid)
    await pause(seconds * 1000)
    const idle = (100 * ((await processorSeconds(service.pid)) - before)) / seconds
    if (!(Math.max(...told) < BOUNDS.ms && idle < BOUNDS.idle)) process.exitCode = 1
    return table(
      ['', 'found', 'bound'],
      [
        ['one client, tiny: total minus compute, median, ms', spread(told, 2), String(BOUNDS.ms)],
        ['the same as the client has it, ms', spread(seen, 2), ''],
        ['nobody asks: % of a core, all processes', idle.toFixed(2), String(BOUNDS.idle)],
      ],
    )
  } finally {
    await service.stop()
    await rm(folder, { recursive: true })
  }
})

/**
 * What all processes of a service have had of processors.
 * @param {number} pid
 */
async function processorSeconds(pid) {
  const stats = await Promise.all(
    (await pidsOf(pid)).map((one) => readFile(`/proc/${String(one)}/stat`, 'utf8')),
  )
  // Behind the name, which is in parentheses: utime and stime are the 12th and the 13th.
  const ticks = stats.map((stat) => stat.slice(stat.lastIndexOf(')') + 2).split(' '))
  return ticks.reduce((sum, fields) => sum + Number(fields[11]) + Number(fields[12]), 0) / TICKS_PER_SECOND
}
