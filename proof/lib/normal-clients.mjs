import { readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import sharp from 'sharp'
import { Client } from './client.mjs'
import { form, json } from './requests.mjs'

/** @typedef {import('./client.mjs').Request} Request */

/** Pause between the calls of one client. */
const REST_MS = 25
/** Tolerance of a probability: batches of different sizes use different kernels. */
const TOLERANCE = 1e-3

/**
 * Clients that predict continuously. Each has its own connection, image and protocol, and gets the same
 * result every time.
 */
export class NormalClients {
  /** @type {string[]} */
  failures = []
  /** Response times in ms. @type {number[]} */
  times = []
  #clients
  /** @type {readonly Request[]} */
  #requests
  /** First result of each client. @type {Map<number, number>} */
  #known = new Map()

  /** @param {string} url @param {readonly Request[]} requests One for each client. */
  constructor(url, requests) {
    this.#requests = requests
    this.#clients = requests.map(() => new Client(url))
  }

  /** @param {AbortSignal} over */
  async run(over) {
    const run = async (/** @type {number} */ at) => {
      while (!over.aborted) {
        await this.#predict(at)
        await pause(REST_MS)
      }
    }
    await Promise.all(this.#requests.map((_, at) => run(at)))
  }

  close() {
    for (const client of this.#clients) client.close()
  }

  /** @param {number} at */
  async #predict(at) {
    const request = this.#requests[at]
    if (request === undefined) return
    const started = performance.now()
    const answer = await this.#clients[at]?.attempt(request)
    this.times.push(performance.now() - started)
    if (answer?.status !== 200) {
      const response = answer?.bytes.toString().slice(0, 300) ?? ''
      this.failures.push(`a normal client, ${request.path}: ${String(answer?.status)} ${response}`)
      return
    }
    /** @type {{ predictions: { classes: { probability: number }[] }[] }} */
    const { predictions } = JSON.parse(answer.bytes.toString())
    const probability = predictions[0]?.classes[0]?.probability ?? NaN
    const first = this.#known.get(at) ?? probability
    this.#known.set(at, first)
    if (!(Math.abs(first - probability) < TOLERANCE))
      this.failures.push(`a normal client, ${request.path}: ${String(probability)} after ${String(first)}`)
  }
}

/**
 * Requests of eight clients: JPEGs of the model's size, a PNG, a photograph of 12 megapixels, a form, base64,
 * WebP.
 * @param {{ jpeg: Buffer, progressiveJpeg: Buffer, png: Buffer, webp: Buffer }} sound
 * @returns {Promise<Request[]>}
 */
export async function normalRequests({ jpeg, progressiveJpeg, png, webp }) {
  const flower = await readFile(new URL('../../test/fixtures/flower.jpg', import.meta.url))
  const photograph = await sharp(flower).resize(4000, 3000).jpeg().toBuffer()
  const path = '/v1/models/own/predict'
  const image = (/** @type {string} */ type, /** @type {Buffer} */ body) => ({
    path,
    headers: { 'content-type': `image/${type}` },
    body,
  })
  return [
    image('jpeg', jpeg),
    image('jpeg', jpeg),
    image('jpeg', progressiveJpeg),
    image('png', png),
    image('jpeg', photograph),
    image('webp', webp),
    form(
      path,
      [flower, png].map((bytes) => ({ name: 'images', bytes, type: 'image/jpeg' })),
    ),
    json(path, { instances: [{ b64: flower.toString('base64') }] }),
  ]
}
