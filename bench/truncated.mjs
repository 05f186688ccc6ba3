import { errors, throughput, warmLoop, withContestants } from './arena.mjs'
import { closedLoop } from './load.mjs'
import { progress, runPart, table } from './part.mjs'
import { spread } from './rounds.mjs'

/**
 * Eight clients that send whole photographs, alone and then beside two that send halves, as fast as they are answered:
 * what do the eight lose, and does each get its own answer?
 */
const GOOD = 8
const BAD = 2
const CONTESTANTS = ['resinit', 'litserve', 'kserve', 'triton']

await runPart('truncated', { rounds: 3, seconds: 10 }, ({ rounds, seconds, only = CONTESTANTS }) =>
  withContestants('resnet50', only, async (fighters, image) => {
    const half = image.subarray(0, image.length / 2)
    /** @type {Map<string, { alone: number, beside: number, errors: number, refused: number }[]>} */
    const found = new Map(fighters.map(({ name }) => [name, []]))
    for (let round = 1; round <= rounds; round++) {
      for (const fighter of fighters) {
        progress(`truncated, round ${String(round)}: ${fighter.name}`)
        const good = fighter.requestOf(image)
        await fighter.during(async () => {
          const alone = await warmLoop(fighter, good, { clients: GOOD, seconds })
          const [beside, bad] = await Promise.all([
            closedLoop(fighter.url, good, { clients: GOOD, seconds }),
            closedLoop(fighter.url, fighter.requestOf(half), { clients: BAD, seconds }),
          ])
          found.get(fighter.name)?.push({
            alone: throughput(alone),
            beside: throughput(beside),
            errors: errors(alone) + errors(beside),
            refused: errors(bad) / bad.seconds,
          })
        })
      }
    }
    return table(
      ['', 'alone, a second', 'beside, a second', 'kept', 'errors of the good', 'halves refused, a second'],
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
