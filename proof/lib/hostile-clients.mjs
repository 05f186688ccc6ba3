import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Choices } from './choices.mjs'

/** @typedef {import('./hostile-images.mjs').ImageKind} ImageKind */
/** @typedef {import('./image-routes.mjs').Route} Route */
/** @typedef {{ verdict: 'accepted' | 'refused' | 'busy' | 'fault', outcome: string }} Outcome */

const SEED = 7e6
/** Number of routes to which each image is sent, and their distance in the list of routes. */
const ROUTES = { each: 3, step: 3 }
/** Longest allowed response time; far above a decoder's time limit. */
const HANG_MS = 30_000
const MAX_QUOTED = 200

/** Clients that send each hostile image to several routes, which must all accept or all reject it. */
export class HostileClients {
  /** @type {string[]} */
  failures = []
  /** Responses by status. @type {Record<string, number>} */
  statuses = {}
  longest = { ms: 0, image: '' }
  #client
  #kinds
  #routes

  /** @param {import('./client.mjs').Client} client @param {readonly ImageKind[]} kinds @param {readonly Route[]} routes */
  constructor(client, kinds, routes) {
    this.#client = client
    this.#kinds = kinds
    this.#routes = routes
  }

  /**
   * Sends `count` images, kind after kind, with so many requests at once.
   * @param {number} images
   * @param {number} atOnce
   */
  async send(images, atOnce) {
    let next = 0
    const sendOn = async () => {
      while (next < images) await this.#sendImage(next++)
    }
    await Promise.all(Array.from({ length: atOnce }, sendOn))
  }

  /** @param {number} index */
  async #sendImage(index) {
    const kind = this.#kinds[index % this.#kinds.length]
    if (kind === undefined) return
    const choices = new Choices(SEED + index)
    const image = kind.make(choices)
    const name = `image ${String(index)}, ${kind.name}`
    const first = choices.below(this.#routes.length)
    /** @type {Map<string, string>} */
    const verdicts = new Map()
    for (let step = 0; step < ROUTES.each; step += 1) {
      const route = this.#routes[(first + step * ROUTES.step) % this.#routes.length]
      if (route === undefined) continue
      const { verdict, outcome } = await this.#send(route, image, choices, name)
      if (verdict !== 'busy') verdicts.set(verdict, `${route.name}: ${outcome}`)
    }
    const known = [...verdicts.keys()]
    const right = known.every((verdict) => verdict === (kind.verdict ?? known[0]) && verdict !== 'fault')
    if (right) return
    this.failures.push(`${name}: ${[...verdicts.values()].join('; ')}`)
    await keep(name, image)
  }

  /** @param {Route} route @param {Buffer} image @param {Choices} choices @param {string} name @returns {Promise<Outcome>} */
  async #send({ refusals, pointer, request }, image, choices, name) {
    const started = performance.now()
    const { status, headers, bytes } = await this.#client.attempt(request(image, choices))
    const ms = performance.now() - started
    if (ms > this.longest.ms) this.longest = { ms, image: name }
    this.statuses[status] = (this.statuses[status] ?? 0) + 1
    const text = bytes.toString()
    const outcome = `${String(status)} after ${ms.toFixed(0)} ms ${status === 200 ? '' : text.slice(0, MAX_QUOTED)}`
    if (ms > HANG_MS) return { verdict: 'fault', outcome }
    if (status === 200) return { verdict: 'accepted', outcome }
    if (status === 429 || status === 503)
      return { verdict: headers['retry-after'] === undefined ? 'fault' : 'busy', outcome }
    // An empty body contains no image that an error could name.
    const named = pointer === undefined || image.length === 0 || text.includes(`"${pointer}"`)
    return { verdict: refusals.includes(status) && named ? 'refused' : 'fault', outcome }
  }
}

/** Writes an image to RESINIT_HOSTILE_IMAGES if that is set. @param {string} name @param {Buffer} image */
async function keep(name, image) {
  const folder = process.env['RESINIT_HOSTILE_IMAGES'] || undefined
  if (folder === undefined) return
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, name.replaceAll(/\W+/g, '-')), image)
}
