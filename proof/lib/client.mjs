import { once } from 'node:events'
import { Agent, request as ask } from 'node:http'
import { buffer } from 'node:stream/consumers'

/**
 * @typedef {{ method?: string, path: string, headers?: Record<string, string>, body?: Buffer | string }} Request
 * @typedef {{ status: number, headers: import('node:http').IncomingHttpHeaders, bytes: Buffer }} Answer
 */

/** Sends requests unchanged over kept-alive connections. The caller closes it. */
export class Client {
  #url
  #headers
  #agent = new Agent({ keepAlive: true })

  /** @param {string} url @param {Readonly<Record<string, string>>} [headers] Sent with every request. */
  constructor(url, headers = {}) {
    this.#url = url
    this.#headers = headers
  }

  /**
   * Sends a request; the default method is POST with a body and GET without.
   * @param {Request} request
   * @returns {Promise<Answer>}
   */
  async send({ method, path, headers = {}, body }) {
    const options = { agent: this.#agent, method: method ?? (body === undefined ? 'GET' : 'POST') }
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
    const request = ask(`${this.#url}${path}`, {
      ...options,
      headers: { ...length, ...this.#headers, ...headers },
    })
    request.end(body)
    const [answer] = /** @type {[import('node:http').IncomingMessage]} */ (await once(request, 'response'))
    return { status: answer.statusCode ?? 0, headers: answer.headers, bytes: await buffer(answer) }
  }

  /**
   * The same for a service that may end: status 0 if there is no response, with the reason as the body.
   * @param {Request} request
   * @returns {Promise<Answer>}
   */
  attempt(request) {
    return this.send(request).catch((/** @type {unknown} */ error) => ({
      ...{ status: 0, headers: {} },
      bytes: Buffer.from(String(error)),
    }))
  }

  /** Closes idle connections. */
  close() {
    this.#agent.destroy()
  }
}
