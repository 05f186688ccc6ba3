import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Config } from '../../config.ts'
import { Incoming } from '../shared/incoming-requests.ts'

/** As nginx's lingering_time and lingering_timeout: how long in all, and how long for a client that sends nothing. */
const LONGEST_MS = 30_000
const LONGEST_SILENCE_MS = 5000
const LOOK_EVERY_MS = 500
/** More of them than are let in by mistake; the oldest are cut. */
const MOST_CONNECTIONS = 256
const FLOAT32_BYTES = 4

interface Lingering {
  readonly since: number
  /** Read of the connection by then. */
  readonly bytesBefore: number
  /** What had been read when it was looked last, and since when it was no more. */
  read: number
  silentSince: number
}

/**
 * Connections whose answer was sent before all of their request had come. A client that sends its whole body before it
 * looks at an answer loses the answer where the connection is closed meanwhile: unread bytes reset it. So what still comes
 * is read and thrown away, within bounds of time and bytes, and the number of such connections is bound as well.
 */
export class Lingerers {
  readonly #lingering = new Map<Socket, Lingering>()
  readonly #mostBytes: number
  #timer: NodeJS.Timeout | undefined
  /** Called when none is left. */
  whenNone: () => void = () => undefined

  constructor({
    MAX_BODY_BYTES,
    MAX_MODEL_PARAMETERS,
  }: Pick<Config, 'MAX_BODY_BYTES' | 'MAX_MODEL_PARAMETERS'>) {
    // The largest body that any route takes.
    this.#mostBytes = MAX_BODY_BYTES + FLOAT32_BYTES * MAX_MODEL_PARAMETERS
  }

  get size(): number {
    return this.#lingering.size
  }

  /** From now on no connection of the server closes while a body is on its way. */
  watch(server: Server): void {
    server.on('connection', (socket) => {
      const destroySoon = socket.destroySoon.bind(socket)
      // Node calls it after the last answer of a connection.
      socket.destroySoon = () => {
        const message = Incoming.newestOf(socket)
        if (message === undefined || message.complete) destroySoon()
        else {
          socket.end()
          this.#linger(socket)
          this.#discard(message, destroySoon)
        }
      }
    })
  }

  /** After an answer: what is left of its request's body is read away, so that the connection's next request can come. */
  readAway(message: Incoming | undefined): void {
    if (message === undefined) return
    if (message.complete) {
      message.unpipe().resume()
      return
    }
    const { socket } = message
    // One that was closed lingers already.
    if (socket.destroyed || this.#lingering.has(socket)) return
    this.#linger(socket)
    this.#discard(message, () => {
      this.#leave(socket)
    })
  }

  /** Sends a last answer over a connection that carries no HTTP any more. */
  end(socket: Socket, text: string): void {
    this.#linger(socket)
    // The parser lets go of the connection.
    socket.removeAllListeners('data')
    socket.on('data', () => undefined)
    socket.on('error', () => undefined)
    socket.once('end', () => {
      if (socket.writableFinished) socket.destroy()
      else socket.once('finish', () => socket.destroy())
    })
    socket.end(text)
    socket.resume()
  }

  #discard(message: Incoming, whole: () => void): void {
    message.watch({ whole })
    message.discard()
  }

  #linger(socket: Socket): void {
    const [oldest] = this.#lingering.keys()
    if (this.#lingering.size >= MOST_CONNECTIONS) oldest?.destroy()
    const now = performance.now()
    const { bytesRead } = socket
    this.#lingering.set(socket, { since: now, bytesBefore: bytesRead, read: bytesRead, silentSince: now })
    socket.once('close', () => {
      this.#leave(socket)
    })
    this.#timer ??= setInterval(() => {
      this.#look()
    }, LOOK_EVERY_MS).unref()
  }

  #leave(socket: Socket): void {
    if (!this.#lingering.delete(socket) || this.#lingering.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
    this.whenNone()
  }

  #look(): void {
    const now = performance.now()
    for (const [socket, lingering] of this.#lingering) {
      const { since, bytesBefore, read, silentSince } = lingering
      const { bytesRead } = socket
      if (bytesRead > read) Object.assign(lingering, { read: bytesRead, silentSince: now })
      const isOver =
        now - since > LONGEST_MS ||
        (bytesRead === read && now - silentSince > LONGEST_SILENCE_MS) ||
        bytesRead - bytesBefore > this.#mostBytes
      if (isOver) socket.destroy()
    }
  }
}
