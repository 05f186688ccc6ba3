import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

/**
 * The load generator of all contestants. It shares the machine with them, so it is no full HTTP client: it
 * sends prepared bytes, and of a response it finds the status and the end.
 */

/** @typedef {{ path: string, headers: Record<string, string>, body: Buffer }} Request */
/** @typedef {{ status: number, head: string, body: Buffer }} Answer */
/**
 * Results: the milliseconds of each answered request by status, and the number of unanswered requests.
 * `seconds` end with the last response. `retryAfter` counts responses with Retry-After.
 * @typedef {{ seconds: number, times: Map<number, number[]>, failed: number, retryAfter: number }} Outcome
 */

const HEAD_END = Buffer.from('\r\n\r\n')
const LAST_CHUNK = Buffer.from('\r\n0\r\n\r\n')

/**
 * @param {string} url
 * @param {Request} request
 */
function bytesOf(url, { path, headers, body }) {
  const lines = [
    `POST ${path} HTTP/1.1`,
    `Host: ${new URL(url).host}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    `Content-Length: ${String(body.length)}`,
  ]
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), body])
}

/**
 * The first response in `received`; undefined while it is incomplete.
 * @param {Buffer} received
 * @returns {Answer | undefined}
 */
function parse(received) {
  const end = received.indexOf(HEAD_END)
  if (end < 0) return undefined
  const head = received.toString('latin1', 0, end)
  const body = received.subarray(end + HEAD_END.length)
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1]
  const status = Number(head.slice(9, 12))
  if (length !== undefined) return body.length < Number(length) ? undefined : { status, head, body }
  // Chunked. The chunks are not decoded, since load tests do not read bodies.
  return received.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK) ? { status, head, body } : undefined
}

/** A kept-alive connection for one request at a time. It reopens after the server has closed it. */
class Connection {
  /** @type {import('node:net').Socket | undefined} */
  #socket

  /** @param {string} url */
  constructor(url) {
    this.url = new URL(url)
  }

  async #open() {
    if (this.#socket?.writable === true) return this.#socket
    const socket = connect({ host: this.url.hostname, port: Number(this.url.port), noDelay: true })
    // After an error between requests, the next request opens the connection again.
    socket.on('error', () => undefined)
    await once(socket, 'connect')
    this.#socket = socket
    return socket
  }

  /**
   * Rejects if the connection ends before the response.
   * @param {Buffer} bytes
   * @returns {Promise<Answer>}
   */
  async send(bytes) {
    const socket = await this.#open()
    return new Promise((resolve, reject) => {
      /** @type {Buffer[]} */
      const pieces = []
      const finish = () => {
        socket.off('data', receive)
        socket.off('close', fail)
      }
      const fail = () => {
        finish()
        reject(new Error('connection closed'))
      }
      /** @param {Buffer} piece */
      const receive = (piece) => {
        pieces.push(piece)
        const answer = parse(pieces.length === 1 ? piece : Buffer.concat(pieces))
        if (answer === undefined) return
        finish()
        if (/\r\nconnection: *close/i.test(answer.head)) this.close()
        resolve(answer)
      }
      socket.on('data', receive)
      socket.on('close', fail)
      socket.write(bytes)
    })
  }

  close() {
    this.#socket?.destroy()
    this.#socket = undefined
  }
}

/** Counts responses. */
class Tally {
  #started = performance.now()
  #ended = this.#started
  /** @type {Map<number, number[]>} */
  #times = new Map()
  #failed = 0
  #retryAfter = 0

  /**
   * Sends one request and counts its response, timed from `since`. Never rejects.
   * @param {Connection} connection
   * @param {Buffer} bytes
   * @param {number} [since]
   */
  async send(connection, bytes, since = performance.now()) {
    try {
      const { status, head } = await connection.send(bytes)
      this.#ended = performance.now()
      const times = this.#times.get(status) ?? []
      times.push(this.#ended - since)
      this.#times.set(status, times)
      if (/\r\nretry-after:/i.test(head)) this.#retryAfter++
    } catch {
      this.#failed++
      connection.close()
    }
  }

  /** @returns {Outcome} */
  outcome() {
    return {
      seconds: (this.#ended - this.#started) / 1000,
      times: this.#times,
      failed: this.#failed,
      retryAfter: this.#retryAfter,
    }
  }
}

/**
 * Sends one request and returns its response with any status.
 * @param {string} url
 * @param {Request} request
 */
export async function ask(url, request) {
  const connection = new Connection(url)
  try {
    return await connection.send(bytesOf(url, request))
  } finally {
    connection.close()
  }
}

/**
 * Sends the same request `count` times on one connection, one after another. Returns each response with its
 * milliseconds.
 * @param {string} url
 * @param {Request} request
 * @param {number} count
 */
export async function askInTurn(url, request, count) {
  const connection = new Connection(url)
  const bytes = bytesOf(url, request)
  /** @type {(Answer & { ms: number })[]} */
  const answers = []
  try {
    while (answers.length < count) {
      const started = performance.now()
      const answer = await connection.send(bytes)
      answers.push({ ...answer, ms: performance.now() - started })
    }
    return answers
  } finally {
    connection.close()
  }
}

/**
 * Closed loop: each client sends its next request after the response to the last, until the time is over.
 * Requests that are in flight then are awaited and count.
 * @param {string} url
 * @param {Request} request
 * @param {{ clients: number, seconds: number }} load
 * @returns {Promise<Outcome>}
 */
export async function closedLoop(url, request, { clients, seconds }) {
  const bytes = bytesOf(url, request)
  const tally = new Tally()
  const until = performance.now() + seconds * 1000
  const client = async () => {
    const connection = new Connection(url)
    while (performance.now() < until) await tally.send(connection, bytes)
    connection.close()
  }
  await Promise.all(Array.from({ length: clients }, client))
  return tally.outcome()
}

/**
 * Open loop: requests arrive evenly, independent of earlier responses, each on a free connection. Times count
 * from the moment at which a request was due, so a slow generator hides no delay.
 * @param {string} url
 * @param {Request} request
 * @param {{ perSecond: number, seconds: number }} load
 * @returns {Promise<Outcome>}
 */
export async function openLoop(url, request, { perSecond, seconds }) {
  const bytes = bytesOf(url, request)
  const tally = new Tally()
  /** @type {Connection[]} */
  const free = []
  /** @type {Promise<void>[]} */
  const underWay = []
  /** @param {number} due */
  const arrive = async (due) => {
    const connection = free.pop() ?? new Connection(url)
    await tally.send(connection, bytes, due)
    free.push(connection)
  }
  const started = performance.now()
  const total = Math.round(perSecond * seconds)
  while (underWay.length < total) {
    const due = Math.min(total, Math.ceil(((performance.now() - started) / 1000) * perSecond))
    while (underWay.length < due) underWay.push(arrive(started + (underWay.length / perSecond) * 1000))
    await pause(1)
  }
  await Promise.all(underWay)
  for (const connection of free) connection.close()
  return tally.outcome()
}
