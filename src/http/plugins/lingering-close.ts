import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import fp from 'fastify-plugin'
import type { Config } from '../../config.ts'
import { findIncoming, Incoming } from '../shared/incoming-requests.ts'

/** As lingering_time and lingering_timeout of nginx: the total, and the longest silence of a client. */
const MAX_LINGER_MS = 30_000
const MAX_SILENCE_MS = 5000
const CHECK_EVERY_MS = 500
/** Beyond this number the oldest connection is closed. */
const MAX_CONNECTIONS = 256
const FLOAT32_BYTES = 4

interface Lingering {
  readonly since: number
  /** Bytes read of the connection before it lingered. */
  readonly bytesBefore: number
  /** Bytes read at the last check, and the time of the last progress. */
  read: number
  silentSince: number
}

/**
 * Connections whose response was sent before the request had arrived completely. Closing such a connection with unread
 * bytes resets it, and a client that sends its whole body first loses the response. The rest of the request is therefore
 * read and discarded, within limits of time, bytes and connections.
 */
export class LingeringConnections {
  readonly #lingering = new Map<Socket, Lingering>()
  readonly #maxBytes: number
  #timer: NodeJS.Timeout | undefined
  /** Called when the last connection is removed. */
  onEmpty: () => void = () => undefined

  constructor({
    MAX_BODY_BYTES,
    MAX_MODEL_PARAMETERS,
  }: Pick<Config, 'MAX_BODY_BYTES' | 'MAX_MODEL_PARAMETERS'>) {
    // The largest body of any route.
    this.#maxBytes = MAX_BODY_BYTES + FLOAT32_BYTES * MAX_MODEL_PARAMETERS
  }

  get size(): number {
    return this.#lingering.size
  }

  /** Keeps the connections of a server open while a body is being received. */
  watch(server: Server): void {
    server.on('connection', (socket) => {
      const destroySoon = socket.destroySoon.bind(socket)
      // Node calls it after the last response of a connection.
      socket.destroySoon = () => {
        const message = Incoming.findNewest(socket)
        if (message === undefined || message.complete) destroySoon()
        else {
          socket.end()
          this.#add(socket)
          this.#discard(message, destroySoon)
        }
      }
    })
  }

  /** After a response: discards the rest of the request body, so that the next request of the connection can follow. */
  discardBody(message: Incoming | undefined): void {
    if (message === undefined) return
    if (message.complete) {
      message.unpipe().resume()
      return
    }
    const { socket } = message
    // A closed connection lingers already.
    if (socket.destroyed || this.#lingering.has(socket)) return
    this.#add(socket)
    this.#discard(message, () => {
      this.#remove(socket)
    })
  }

  /** Sends a last response over a connection whose HTTP parser has failed, and closes it. */
  sendAndClose(socket: Socket, text: string): void {
    this.#add(socket)
    // Detach the parser.
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

  #discard(message: Incoming, onComplete: () => void): void {
    message.watch({ onComplete })
    message.discard()
  }

  #add(socket: Socket): void {
    const [oldest] = this.#lingering.keys()
    if (this.#lingering.size >= MAX_CONNECTIONS) oldest?.destroy()
    const now = performance.now()
    const { bytesRead } = socket
    this.#lingering.set(socket, { since: now, bytesBefore: bytesRead, read: bytesRead, silentSince: now })
    socket.once('close', () => {
      this.#remove(socket)
    })
    this.#timer ??= setInterval(() => {
      this.#check()
    }, CHECK_EVERY_MS).unref()
  }

  #remove(socket: Socket): void {
    if (!this.#lingering.delete(socket) || this.#lingering.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
    this.onEmpty()
  }

  #check(): void {
    const now = performance.now()
    for (const [socket, lingering] of this.#lingering) {
      const { since, bytesBefore, read, silentSince } = lingering
      const { bytesRead } = socket
      if (bytesRead > read) Object.assign(lingering, { read: bytesRead, silentSince: now })
      const isOver =
        now - since > MAX_LINGER_MS ||
        (bytesRead === read && now - silentSince > MAX_SILENCE_MS) ||
        bytesRead - bytesBefore > this.#maxBytes
      if (isOver) socket.destroy()
    }
  }
}

/** Discards the rest of every request body after the response. */
export const lingeringClose = fp<{ readonly lingering: LingeringConnections }>(
  (app, { lingering }, done) => {
    lingering.watch(app.server)
    app.addHook('onResponse', (request, _reply, next) => {
      lingering.discardBody(findIncoming(request))
      next()
    })
    done()
  },
  { name: 'lingering-close' },
)
