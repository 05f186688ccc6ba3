import { throughput, warmLoop, withContestants } from '../lib/contest.mjs'
import { openLoop } from '../lib/load.mjs'
import { progress, runPart, table } from '../lib/part.mjs'
import { quantile, spread } from '../lib/rounds.mjs'

/**
 * Ten times the capacity of a server for a minute: its rate of responses, and the share of rejections with
 * Retry-After. Capacity is the rate that 32 clients reached just before.
 */
const FACTOR = 10
const CLIENTS = 32
/** Share of the rate before. */
const CAPACITY_S = 10

await runPart('overload', { rounds: 1, seconds: 60 }, ({ rounds, seconds, only = ['resinit'] }) =>
  withContestants('resnet50', only, async (entrants, image) => {
    /** @type {Map<string, Awaited<ReturnType<typeof overload>>[]>} */
    const found = new Map(entrants.map(({ name }) => [name, []]))
    for (let round = 1; round <= rounds; round++) {
      for (const entrant of entrants) {
        progress(`overload, round ${String(round)}: ${entrant.name}`)
        found.get(entrant.name)?.push(await entrant.during(() => overload(entrant, image, seconds)))
      }
    }
    const head = [
      '',
      'capacity',
      'offered',
      'answered',
      'of capacity',
      'p99 ms',
      '429',
      'Retry-After',
      'other',
    ]
    return table(
      head,
      [...found].map(([name, all]) => [
        name,
        spread(
          all.map((one) => one.capacity),
          1,
        ),
        spread(
          all.map((one) => one.offered),
          1,
        ),
        spread(
          all.map((one) => one.answered),
          1,
        ),
        spread(
          all.map((one) => one.answered / one.capacity),
          2,
        ),
        spread(
          all.map((one) => one.p99),
          0,
        ),
        String(all.reduce((sum, one) => sum + one.refused, 0)),
        String(all.reduce((sum, one) => sum + one.retryAfter, 0)),
        String(all.reduce((sum, one) => sum + one.other, 0)),
      ]),
    )
  }),
)

/**
 * Rates per second; `p99` of answered requests; the rest are counts.
 * @param {import('../lib/contest.mjs').Entrant} entrant
 * @param {Buffer} image
 * @param {number} seconds
 */
async function overload(entrant, image, seconds) {
  const request = entrant.requestOf(image)
  const before = { clients: CLIENTS, seconds: Math.min(CAPACITY_S, seconds) }
  const capacity = throughput(await warmLoop(entrant, request, before))
  const perSecond = FACTOR * capacity
  const outcome = await openLoop(entrant.url, request, { perSecond, seconds })
  const answered = outcome.times.get(200) ?? []
  const refused = outcome.times.get(429)?.length ?? 0
  const statuses = [...outcome.times.values()].reduce((sum, times) => sum + times.length, 0)
  return {
    capacity,
    offered: perSecond,
    answered: throughput(outcome),
    p99: quantile(answered, 0.99),
    refused,
    retryAfter: outcome.retryAfter,
    other: statuses - answered.length - refused + outcome.failed,
  }
}
