import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { contestant } from '../servers/contestants.mjs'
import { ask, closedLoop } from './load.mjs'
import { photograph, prepareNetwork } from './networks.mjs'
import { progress } from './part.mjs'

/**
 * A contestant that serves the network. It is paused except within `during`.
 * @typedef {object} Entrant
 * @property {string} name
 * @property {string} url
 * @property {(image: Buffer) => import('./load.mjs').Request} requestOf
 * @property {<T>(measure: () => Promise<T>) => Promise<T>} during Lets it run while something is measured.
 */

const CLIENTS = 32
/** Warm-up before the first round, for batches of all sizes, and before each measurement, after a pause. */
const FIRST_WARM_UP_S = 5
const WARM_UP_S = 1
/** Relative difference of a probability. bench/parts/model.mjs compares logits; bfloat16 keeps eight bits. */
const TOLERANCE = 0.25

/**
 * Starts contestants on one network, checks that all give the same answer, passes them to `use` and stops
 * them. Skips a contestant whose precision the service does not offer.
 * @template T
 * @param {keyof typeof import('./networks.mjs').specifications} network
 * @param {readonly string[]} names
 * @param {(entrants: Entrant[], image: Buffer) => Promise<T>} use
 */
export async function withContestants(network, names, use) {
  const parent = await mkdtemp(join(tmpdir(), 'resinit-bench-'))
  /** @type {import('./server.mjs').Server[]} */
  const servers = []
  try {
    const image = await photograph()
    const prepared = await prepareNetwork(network, parent)
    /** @type {Entrant[]} */
    const entrants = []
    /** @type {{ index: number, probability: number } | undefined} */
    let expected
    for (const { name, start, read } of names.map(contestant)) {
      if (name === 'resinit-bfloat16' && !prepared.offersBfloat16) continue
      progress(`${network}: ${name} starts`)
      const { server, requestOf } = await start(prepared)
      servers.push(server)
      const { url } = server
      const request = requestOf(image)
      const { status, body } = await ask(url, request)
      const top = status === 200 ? read(body.toString()) : []
      expected ??= top[0]
      const found = top.find(({ index }) => index === expected?.index)
      const ratio = (found?.probability ?? NaN) / (expected?.probability ?? NaN)
      if (!(Math.abs(ratio - 1) <= TOLERANCE)) {
        throw new Error(
          `${name} returned ${String(status)} ${body.toString()} instead of ${JSON.stringify(expected)}`,
        )
      }
      await closedLoop(url, request, { clients: CLIENTS, seconds: FIRST_WARM_UP_S })
      server.pause()
      entrants.push({ name, url, requestOf, during: during(server) })
    }
    return await use(entrants, image)
  } finally {
    await Promise.all(servers.map((server) => server.stop()))
    await rm(parent, { recursive: true })
  }
}

/** @param {import('./server.mjs').Server} server */
function during(server) {
  /**
   * @template T
   * @param {() => Promise<T>} measure
   */
  return async (measure) => {
    server.resume()
    try {
      return await measure()
    } finally {
      server.pause()
    }
  }
}

/**
 * A closed loop after an uncounted warm-up.
 * @param {Entrant} entrant
 * @param {import('./load.mjs').Request} request
 * @param {{ clients: number, seconds: number }} load
 */
export async function warmLoop({ url }, request, load) {
  await closedLoop(url, request, { ...load, seconds: Math.min(WARM_UP_S, load.seconds) })
  return closedLoop(url, request, load)
}

/**
 * Responses with status 200 per second.
 * @param {import('./load.mjs').Outcome} outcome
 */
export function throughput({ times, seconds }) {
  return (times.get(200)?.length ?? 0) / seconds
}

/**
 * Requests without a response of status 200.
 * @param {import('./load.mjs').Outcome} outcome
 */
export function errors({ times, failed }) {
  return [...times].reduce((sum, [status, some]) => sum + (status === 200 ? 0 : some.length), failed)
}
