import { errors, throughput, warmLoop, withContestants } from '../lib/contest.mjs'
import { closedLoop } from '../lib/load.mjs'
import { progress, runPart, table } from '../lib/part.mjs'
import { spread } from '../lib/rounds.mjs'

/**
 * Eight clients send whole photographs, alone and then beside two clients that send truncated ones as fast as
 * they are answered: the throughput that the eight lose, and whether each gets its own result.
 */
const GOOD = 8
const BAD = 2
const CONTESTANTS = ['resinit', 'litserve', 'kserve', 'triton']

await runPart('truncated', { rounds: 3, seconds: 10 }, ({ rounds, seconds, only = CONTESTANTS }) =>
  withContestants('resnet50', only, async (entrants, image) => {
    const half = image.subarray(0, image.length / 2)
    /** @type {Map<string, { alone: number, beside: number, errors: number, refused: number }[]>} */
    const found = new Map(entrants.map(({ name }) => [name, []]))
    for (let round = 1; round <= rounds; round++) {
      for (const entrant of entrants) {
        progress(`truncated, round ${String(round)}: ${entrant.name}`)
        const good = entrant.requestOf(image)
        await entrant.during(async () => {
          const alone = await warmLoop(entrant, good, { clients: GOOD, seconds })
          const [beside, bad] = await Promise.all([
            closedLoop(entrant.url, good, { clients: GOOD, seconds }),
            closedLoop(entrant.url, entrant.requestOf(half), { clients: BAD, seconds }),
          ])
          found.get(entrant.name)?.push({
            alone: throughput(alone),
            beside: throughput(beside),
            errors: errors(alone) + errors(beside),
            refused: errors(bad) / bad.seconds,
          })
        })
      }
    }
    return table(
      [
        '',
        'alone, per second',
        'beside truncated ones, per second',
        'kept',
        'errors of whole photographs',
        'truncated ones rejected, per second',
      ],
      [...found].map(([name, all]) => [
        name,
        spread(
          all.map((one) => one.alone),
          1,
        ),
        spread(
          all.map((one) => one.beside),
          1,
        ),
        spread(
          all.map((one) => one.beside / one.alone),
          2,
        ),
        String(all.reduce((sum, one) => sum + one.errors, 0)),
        spread(
          all.map((one) => one.refused),
          1,
        ),
      ]),
    )
  }),
)
