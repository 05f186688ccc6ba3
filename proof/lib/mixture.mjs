import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { Choices } from './choices.mjs'
import { Client } from './client.mjs'
import { binaryInference, form, imageFiles, json, npy, pixels, SHAPE, specification } from './requests.mjs'

/** @typedef {import('./client.mjs').Request} Request */

const MODELS = 6
const IMAGES = 4
/** Pause between the calls of one client, which leaves the processor some idle time. */
const REST_MS = 25
/** Share of the largest logit: the difference between batch sizes. */
const TOLERANCE = 1e-4

/** All operations of the service: one client per kind of call, each with one call at a time. */
export class Mixture {
  /** Responses by status; `hung_up` counts calls that the client aborted. @type {Map<string, number>} */
  counts = new Map()
  /** @type {string[]} */
  failures = []
  #url
  #client
  #choices = new Choices(20)
  /** First result of each model for each image. @type {Map<string, readonly number[]>} */
  #known = new Map()
  #created = 0

  /** @param {string} url */
  constructor(url) {
    this.#url = url
    this.#client = new Client(url)
  }

  async prepare() {
    for (let model = 0; model < MODELS; model += 1)
      await this.#call(json('/v1/models', { ...specification(model), name: `model-${String(model)}` }), [201])
  }

  /** Sends calls until the signal aborts. @param {AbortSignal} over */
  async run(over) {
    const files = await imageFiles()
    const clients = [
      () => this.#predict(),
      () => this.#predict(),
      () => this.#infer(),
      () => this.#predictAsTensorFlow(),
      () => this.#predictFiles(files),
      () => this.#comeAndGo(),
      () => this.#study(),
      () => this.#export(),
      () => this.#misuse(files),
      () => this.#hangUp(),
    ]
    await Promise.all(
      clients.map(async (client) => {
        while (!over.aborted) {
          await client()
          await pause(REST_MS)
        }
      }),
    )
    this.#client.close()
  }

  async #predict() {
    const { model, image } = this.#pick()
    const path = `/v1/models/${model}/predict?include=logits`
    const headers = { 'content-type': 'application/x-npy' }
    const answer = await this.#call({ path, headers, body: npy([1, ...SHAPE], pixels(image)) })
    /** @type {{ predictions: { logits: number[] }[] }} */
    const { predictions } = answer
    this.#compare(`${model} ${String(image)}`, predictions[0]?.logits)
  }

  async #infer() {
    const { model, image } = this.#pick()
    /** @type {{ outputs: { name: string, data: number[] }[] }} */
    const { outputs } = await this.#call(binaryInference(model, pixels(image)))
    this.#compare(`${model} ${String(image)}`, outputs.find(({ name }) => name === 'logits')?.data)
  }

  async #predictAsTensorFlow() {
    const { model, image } = this.#pick()
    const values = [...pixels(image)]
    const [height = 0, width = 0, channels = 0] = SHAPE
    const rows = Array.from({ length: height }, (_, y) =>
      Array.from({ length: width }, (_, x) =>
        values.slice((y * width + x) * channels, (y * width + x + 1) * channels),
      ),
    )
    /** @type {{ predictions: { logits: number[] }[] }} */
    const { predictions } = await this.#call(json(`/v1/models/${model}:predict`, { instances: [rows] }))
    this.#compare(`${model} ${String(image)}`, predictions[0]?.logits)
  }

  /** @param {readonly { type: string, bytes: Buffer }[]} files */
  async #predictFiles(files) {
    const path = `/v1/models/${this.#pick().model}/predict`
    const some = Array.from({ length: 1 + this.#choices.below(4) }, () => this.#choices.of(files))
    if (this.#choices.below(2) === 0)
      await this.#call(
        form(
          path,
          some.map(({ type, bytes }) => ({ name: 'images', type, bytes })),
        ),
      )
    else
      await this.#call(
        json(path, { instances: some.map(({ bytes }) => ({ b64: bytes.toString('base64') })) }),
      )
  }

  async #comeAndGo() {
    this.#created += 1
    const name = `guest-${String(this.#created % 3)}`
    const given = { ...specification(1000 + this.#created), name }
    /** @type {{ id: string }} */
    const { id } = await this.#call(json('/v1/models', given), [201])
    await this.#call({ ...json(`/v1/models/${name}-again`, { id }), method: 'PUT' }, [201])
    await this.#call(binaryInference(name, pixels(0)))
    await this.#call({ path: '/v1/models' })
    await this.#call({ method: 'DELETE', path: `/v1/models/${id}` }, [204])
    await this.#call({ path: `/v1/models/${id}` }, [404])
    await pause(20 * REST_MS)
  }

  async #study() {
    const { model } = this.#pick()
    const other = this.#pick().model
    await this.#call({ path: `/v1/models/${model}/statistics?include=histogram,quantiles,spectrum` })
    await this.#call({ path: `/v1/models/${model}/statistics?relative_to=${other}` })
    const tensor = { shape: [64, 64], seed: this.#choices.below(1000), include: ['histogram'] }
    await this.#call(json('/v1/initializers/he_normal/statistics', tensor))
    const question = { batch_size: 2, repeats: 2, seed: this.#choices.below(100) }
    const signals = json(`/v1/models/${model}/signals`, question)
    await this.#call(signals)
    await this.#call({ ...signals, headers: { ...signals.headers, accept: 'text/event-stream' } })
    await this.#call(
      json('/v1/comparisons', { specs: [specification(1), specification(2)], signals: question }),
    )
    await this.#call({ path: '/metrics' })
    await pause(20 * REST_MS)
  }

  async #export() {
    const { model } = this.#pick()
    const answer = await this.#client.send({ path: `/v1/models/${model}/weights` })
    this.#note({ path: 'weights' }, answer, [200])
    const headers = { 'content-type': 'application/octet-stream' }
    await this.#call({ path: '/v1/weights/statistics', headers, body: answer.bytes })
    await this.#call({
      path: `/v1/models/${model}/weights?names=keras`,
      headers: { accept: 'application/x-hdf5' },
    })
    await this.#call({ path: `/v1/models/${model}/savedmodel` })
    /** @type {{ id: string }} */
    const { id } = await this.#call(
      form('/v1/models', [{ name: 'weights', bytes: answer.bytes, type: 'application/octet-stream' }]),
      [200, 201],
    )
    await this.#call({ method: 'DELETE', path: `/v1/models/${id}` }, [204])
    await pause(20 * REST_MS)
  }

  /** @param {readonly { type: string, bytes: Buffer }[]} files */
  async #misuse(files) {
    const { model } = this.#pick()
    const path = `/v1/models/${model}/predict`
    const { type, bytes } = this.#choices.of(files)
    const headers = { 'content-type': type }
    await this.#call({ path, headers, body: bytes.subarray(0, bytes.length / 2) }, [422])
    await this.#call({ path, headers, body: this.#choices.bytes(100) }, [422])
    await this.#call(
      { path, headers: { 'content-type': 'application/json' }, body: '{"instances": [' },
      [400],
    )
    await this.#call(json('/v1/models', { ...specification(1), stdev: 1 }), [422])
    await this.#call(json('/v1/plans', { architecture: { stages: [] } }), [422])
    await this.#call(binaryInference(model, pixels(0).subarray(1)), [400])
    await this.#call({ path: '/v1/models/nobody' }, [404])
    await this.#call({ path: '/nowhere' }, [404])
    await pause(10 * REST_MS)
  }

  /** In the middle of the body, or before the response. */
  async #hangUp() {
    const { model } = this.#pick()
    const { path, headers, body } = this.#choices.of([
      binaryInference(model, pixels(1)),
      json(`/v1/models/${model}/signals`, { batch_size: 2, repeats: 20, seed: this.#choices.below(100) }),
      json('/v1/initializers/orthogonal/sample', { shape: [64, 64] }),
      json(`/v1/models/${model}/predict`, { instances: [{ b64: 'AAAA' }] }),
    ])
    const { hostname, port } = new URL(this.#url)
    const socket = connect(Number(port), hostname)
    // An aborted call may end with a reset.
    socket.on('error', () => undefined)
    const head = Object.entries({ ...headers, host: hostname, 'content-length': body.length })
    const lines = head.map(([name, value]) => `${name}: ${String(value)}\r\n`).join('')
    const sent = this.#choices.below(2) === 0 ? body : body.subarray(0, body.length / 2)
    socket.write(Buffer.concat([Buffer.from(`POST ${path} HTTP/1.1\r\n${lines}\r\n`), sent]))
    await pause(this.#choices.below(30))
    socket.destroy()
    if (!socket.closed) await once(socket, 'close')
    this.#count('hung_up')
  }

  #pick() {
    return { model: `model-${String(this.#choices.below(MODELS))}`, image: this.#choices.below(IMAGES) }
  }

  /**
   * The response as JSON, if it is JSON.
   * @param {Request} request
   * @param {readonly number[]} wanted
   */
  async #call(request, wanted = [200]) {
    const answer = await this.#client.send(request)
    this.#note(request, answer, wanted)
    const isJson = answer.headers['content-type']?.includes('json')
    /** @type {any} */
    const value = isJson ? JSON.parse(answer.bytes.toString()) : undefined
    // eslint-disable-next-line @typescript-eslint/no-unsafe-return -- each caller knows the type
    return value
  }

  /** @param {Request} request @param {import('./client.mjs').Answer} answer @param {readonly number[]} wanted */
  #note({ method = '', path }, { status, bytes }, wanted) {
    this.#count(String(status))
    if (!wanted.includes(status))
      this.failures.push(`${method} ${path}: ${String(status)}, ${bytes.toString().slice(0, 200)}`)
  }

  /** @param {string} what */
  #count(what) {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
  }

  /**
   * A model gives the same result for an image to every client and after every eviction.
   * @param {string} key
   * @param {readonly (number | string)[]} [given]
   */
  #compare(key, given = []) {
    const logits = given.map(Number)
    const first = this.#known.get(key) ?? logits
    this.#known.set(key, first)
    const largest = Math.max(...first.map(Math.abs))
    const off = Math.max(...first.map((logit, at) => Math.abs(logit - (logits[at] ?? NaN))))
    if (!(off <= TOLERANCE * largest)) this.failures.push(`${key} differs by ${String(off)}`)
  }
}
