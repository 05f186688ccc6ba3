import type { Static } from 'typebox'
import supertest from 'supertest'
import type { Model } from '../../src/http/shared/model-schemas.ts'
import type { Predictions } from '../../src/http/shared/prediction-schemas.ts'
import { assertContract } from './contract.ts'
import { npy } from './images.ts'

export type ModelBody = Static<typeof Model>
export type PredictionsBody = Static<typeof Predictions>
export interface ProblemBody {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code: string
  readonly error: string
  readonly errors?: readonly { readonly pointer: string; readonly detail: string }[]
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly bytes: Buffer
  /** The body as JSON; throws if it is not JSON. */
  readonly json: unknown
}

export interface Part {
  readonly name: string
  readonly value: Buffer | string
  /** A part with a filename is a file. */
  readonly filename?: string
}

type Headers = Readonly<Record<string, string>>
type Method = 'head' | 'get' | 'post' | 'put' | 'delete' | 'patch' | 'options'

/** Calls a running service. Every response is checked against the OpenAPI document. */
export class Client {
  readonly url: string
  readonly #headers: Headers

  constructor(url: string, headers: Headers = {}) {
    this.url = url
    this.#headers = headers
  }

  get(path: string, headers: Headers = {}): Promise<Answer> {
    return this.send('get', path, headers)
  }

  delete(path: string): Promise<Answer> {
    return this.send('delete', path, {})
  }

  post(path: string, json: unknown, headers: Headers = {}): Promise<Answer> {
    return this.upload(path, JSON.stringify(json), 'application/json', headers)
  }

  put(path: string, json: unknown, headers: Headers = {}): Promise<Answer> {
    return this.send('put', path, { 'content-type': 'application/json', ...headers }, JSON.stringify(json))
  }

  /** Sends bytes with or without a content type. */
  upload(path: string, body: Buffer | string, type?: string, headers: Headers = {}): Promise<Answer> {
    return this.send(
      'post',
      path,
      { ...(type === undefined ? {} : { 'content-type': type }), ...headers },
      body,
    )
  }

  form(path: string, parts: readonly Part[], headers: Headers = {}): Promise<Answer> {
    const form = this.#request('post', path, headers)
    for (const { name, value, filename } of parts) {
      if (filename === undefined) form.field(name, value)
      else form.attach(name, Buffer.from(value), { filename })
    }
    return this.#answer('post', path, form)
  }

  send(method: Method, path: string, headers: Headers, body?: Buffer | string): Promise<Answer> {
    const request = this.#request(method, path, headers)
    // Without a serializer, send() would set a content type.
    if (body !== undefined)
      request.serialize(() => body as string).send(Buffer.isBuffer(body) ? body : Buffer.from(body))
    return this.#answer(method, path, request)
  }

  /** Creates a model and waits until it is ready. */
  async create(specification: object): Promise<ModelBody> {
    const answer = await this.post('/v1/models', specification)
    if (answer.status !== 201 && answer.status !== 200) throw new Error(answer.bytes.toString())
    return answer.json as ModelBody
  }

  /** Waits until the model has a digest. */
  async withDigest(id: string): Promise<ModelBody & { weights_sha256: string }> {
    for (;;) {
      const model = (await this.get(`/v1/models/${id}`)).json as ModelBody
      const { weights_sha256 } = model
      if (weights_sha256 !== null) return { ...model, weights_sha256 }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  /** Logits of uint8 images from one request. */
  async logits(model: string, shape: readonly number[], pixels: Uint8Array): Promise<number[][]> {
    const path = `/v1/models/${model}/predict?include=logits`
    const answer = await this.upload(path, npy(shape, pixels), 'application/x-npy')
    if (answer.status !== 200) throw new Error(answer.bytes.toString())
    return (answer.json as PredictionsBody).predictions.map(({ logits = [] }) => logits.map(Number))
  }

  #request(method: Method, path: string, headers: Headers): supertest.Test {
    return supertest(this.url)
      [method](path)
      .set({ ...this.#headers, ...headers })
      .responseType('blob')
  }

  async #answer(method: Method, path: string, request: supertest.Test): Promise<Answer> {
    const response = await request
    const bytes: Buffer = Buffer.isBuffer(response.body) ? response.body : Buffer.alloc(0)
    const answer: Answer = {
      status: response.status,
      headers: response.headers,
      bytes,
      get json() {
        return JSON.parse(bytes.toString()) as unknown
      },
    }
    assertContract(method, path, answer)
    return answer
  }
}
