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
 * Overhead beside computing: for one client's predictions of the tiny network, the time outside the engine by
 * the service's `timing_ms` and by the client's clock; and the processor time of an idle service.
 */
const REQUESTS = 500
const BOUNDS = { ms: 3, idle: 1 }
/** After the last response V8 collects garbage: 0.2 s per child, once within half a minute. */
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
    const [byService, byClient] = [/** @type {number[]} */ ([]), /** @type {number[]} */ ([])]
    for (let round = 1; round <= rounds; round++) {
      const answers = (await askInTurn(service.url, request, REQUESTS)).map(({ body, ms }) => {
        /** @type {{ timing_ms: { total: number, compute: number } }} */
        const { timing_ms: timing } = JSON.parse(body.toString())
        return { byService: timing.total - timing.compute, byClient: ms - timing.compute }
      })
      byService.push(median(answers.map((one) => one.byService)))
      byClient.push(median(answers.map((one) => one.byClient)))
    }
    await pause(SETTLE_S * 1000)
    const before = await processorSeconds(service.pid)
    await pause(seconds * 1000)
    const idle = (100 * ((await processorSeconds(service.pid)) - before)) / seconds
    if (!(Math.max(...byService) < BOUNDS.ms && idle < BOUNDS.idle)) process.exitCode = 1
    return table(
      ['', 'found', 'bound'],
      [
        [
          'one client, tiny: total minus compute by the service, median, ms',
          spread(byService, 2),
          String(BOUNDS.ms),
        ],
        ['the same by the client, ms', spread(byClient, 2), ''],
        ['idle: % of a core, all processes', idle.toFixed(2), String(BOUNDS.idle)],
      ],
    )
  } finally {
    await service.stop()
    await rm(folder, { recursive: true })
  }
})

/**
 * Processor seconds of all processes of a service.
 * @param {number} pid
 */
async function processorSeconds(pid) {
  const stats = await Promise.all(
    (await pidsOf(pid)).map((one) => readFile(`/proc/${String(one)}/stat`, 'utf8')),
  )
  // After the name in parentheses, utime and stime are fields 12 and 13.
  const ticks = stats.map((stat) => stat.slice(stat.lastIndexOf(')') + 2).split(' '))
  return ticks.reduce((sum, fields) => sum + Number(fields[11]) + Number(fields[12]), 0) / TICKS_PER_SECOND
}
