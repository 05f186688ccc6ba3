import type { Problem } from '../../api/types.gen.ts'
import { addressOf, type Call } from './call.ts'

const KEY = 'resinit.key'

/** An error response of the service. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly problem: Problem

  constructor(problem: Problem) {
    super(problem.detail)
    this.problem = problem
  }
}

export interface Progress {
  readonly done: number
  readonly total: number
}

/** Sends requests to the service of this page, with a key if it requires one. */
export class Client {
  readonly #askForKey: (refused: boolean) => Promise<string>
  /** Concurrent requests without a valid key share one dialog. */
  #keyRequest: Promise<string> | undefined

  /** `askForKey` prompts for a key; `refused` is true after a rejected key. */
  constructor(askForKey: (refused: boolean) => Promise<string>) {
    this.#askForKey = askForKey
  }

  get key(): string | undefined {
    return sessionStorage.getItem(KEY) ?? undefined
  }

  set key(key: string | undefined) {
    if (key === undefined || key === '') sessionStorage.removeItem(KEY)
    else sessionStorage.setItem(KEY, key)
  }

  /** The response as JSON. Throws a Refusal, or an Error without a response. */
  async json<T>(call: Call, signal?: AbortSignal): Promise<T> {
    return (await (await this.#send(call, signal)).json()) as T
  }

  async blob(call: Call, signal?: AbortSignal): Promise<Blob> {
    return (await this.#send(call, signal)).blob()
  }

  async delete(path: string): Promise<void> {
    await this.#send({ method: 'DELETE', path })
  }

  /** The result of a long job, with progress events. */
  async job<T>(call: Call, progress: (progress: Progress) => void, signal?: AbortSignal): Promise<T> {
    const headers = { ...call.headers, accept: 'text/event-stream' }
    const { body } = await this.#send({ ...call, headers }, signal)
    for await (const [event, data] of eventsOf(body)) {
      if (event === 'progress') progress(data as Progress)
      else if (event === 'error') throw new Refusal(data as Problem)
      else if (event === 'result') return data as T
    }
    throw new Error('the service closed the connection before the result; it may be stopping')
  }

  async #send(call: Call, signal?: AbortSignal): Promise<Response> {
    for (;;) {
      const { key } = this
      const answer = await this.#fetch(call, key, signal)
      if (answer.ok) return answer
      if (answer.status !== 401) throw await refusalOf(answer)
      if (key === this.key) {
        this.#keyRequest ??= this.#askForKey(key !== undefined).finally(() => (this.#keyRequest = undefined))
        this.key = await this.#keyRequest
      }
    }
  }

  async #fetch(call: Call, key: string | undefined, signal?: AbortSignal): Promise<Response> {
    const { method, headers = {}, json, images = [] } = call
    const sent = new Headers({ accept: 'application/json', ...headers })
    if (key !== undefined) sent.set('authorization', `Bearer ${key}`)
    let body: BodyInit | undefined
    const [image] = images
    if (json !== undefined) {
      sent.set('content-type', 'application/json')
      body = JSON.stringify(json)
    } else if (images.length > 1) {
      body = new FormData()
      for (const file of images) body.append('images', file)
    } else if (image !== undefined) {
      sent.set('content-type', image.type)
      body = image
    }
    try {
      return await fetch(addressOf(call), {
        method,
        headers: sent,
        ...(body === undefined ? {} : { body }),
        ...(signal === undefined ? {} : { signal }),
      })
    } catch (error) {
      if (signal?.aborted === true) throw error
      throw new Error('the service does not respond', { cause: error })
    }
  }
}

async function refusalOf(answer: Response): Promise<Error> {
  const type = answer.headers.get('content-type') ?? ''
  if (type.includes('problem+json')) return new Refusal((await answer.json()) as Problem)
  return new Error(`the service returned status ${String(answer.status)}`)
}

/** The events of a response with their data. */
async function* eventsOf(
  body: ReadableStream<Uint8Array<ArrayBuffer>> | null,
): AsyncGenerator<[string, unknown]> {
  if (body === null) return
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    text += value
    const events = text.split('\n\n')
    text = events.pop() ?? ''
    for (const event of events) {
      const name = /^event: (.*)$/m.exec(event)?.[1]
      const data = /^data: (.*)$/m.exec(event)?.[1]
      if (name !== undefined && data !== undefined) yield [name, JSON.parse(data)]
    }
  }
}
