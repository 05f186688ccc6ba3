import { errors, throughput, warmLoop, withContestants } from '../lib/contest.mjs'
import { progress, runPart, table } from '../lib/part.mjs'
import { quantile, spread } from '../lib/rounds.mjs'

/**
 * Servers under load: JPEGs uploaded by one client, then by 32, to ResNet-50 and to a tiny network that shows
 * the server alone. All serve the same weights at the same time and are measured in turns.
 */
const NETWORKS = /** @type {const} */ (['resnet50', 'tiny'])
const CLIENTS = [1, 32]
const CONTESTANTS = [
  ...['resinit', 'litserve', 'kserve', 'triton', 'triton/instances=2/threads=1'],
  'resinit-bfloat16',
]

/** @typedef {{ throughput: number, p50: number, p99: number, errors: number }} Measurement */

await runPart('serving', { rounds: 5, seconds: 10 }, async ({ rounds, seconds, only = CONTESTANTS }) => {
  const sections = []
  for (const network of NETWORKS) {
    const tables = await withContestants(network, only, async (entrants, image) => {
      const absent = only.filter((name) => entrants.every((entrant) => entrant.name !== name))
      const found = absent.map((name) => `${network}: ${name} is not available on this machine.`)
      for (const clients of CLIENTS) {
        /** @type {Map<string, Measurement[]>} */
        const measurements = new Map(entrants.map(({ name }) => [name, []]))
        for (let round = 1; round <= rounds; round++) {
          for (const entrant of entrants) {
            const outcome = await entrant.during(() =>
              warmLoop(entrant, entrant.requestOf(image), { clients, seconds }),
            )
            const measurement = measure(outcome)
            progress(
              `${network}, ${String(clients)} clients, round ${String(round)}: ${describeMeasurement(entrant, measurement)}`,
            )
            measurements.get(entrant.name)?.push(measurement)
          }
        }
        found.push(
          `### ${network}, ${clients === 1 ? 'one client' : `${String(clients)} clients`}\n\n${compare(measurements)}`,
        )
      }
      return found
    })
    sections.push(...tables)
  }
  return sections.join('\n\n')
})

/**
 * @param {import('../lib/load.mjs').Outcome} outcome
 * @returns {Measurement}
 */
function measure(outcome) {
  const times = outcome.times.get(200) ?? []
  return {
    throughput: throughput(outcome),
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    errors: errors(outcome),
  }
}

/**
 * @param {{ name: string }} entrant
 * @param {Measurement} measurement
 */
function describeMeasurement({ name }, measurement) {
  return `${name} ${measurement.throughput.toFixed(1)} per second, p99 ${measurement.p99.toFixed(1)} ms`
}

/**
 * The ratio of the first contestant's throughput to each other's is computed within rounds, under equal
 * conditions.
 * @param {Map<string, Measurement[]>} measurements
 */
function compare(measurements) {
  const [first = ['', []]] = measurements
  const [firstName, firstRounds] = first
  return table(
    ['', 'images per second', 'p50 ms', 'p99 ms', 'errors', `${firstName} over it`],
    [...measurements].map(([name, rounds]) => [
      name,
      spread(
        rounds.map((round) => round.throughput),
        1,
      ),
      spread(
        rounds.map((round) => round.p50),
        1,
      ),
      spread(
        rounds.map((round) => round.p99),
        1,
      ),
      String(rounds.reduce((sum, round) => sum + round.errors, 0)),
      spread(
        rounds.map((round, index) => (firstRounds[index]?.throughput ?? NaN) / round.throughput),
        2,
      ),
    ]),
  )
}
