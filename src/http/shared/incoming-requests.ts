import { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyRequest } from 'fastify'

/** What is told of a body as it arrives. */
interface BodyWatcher {
  readonly arrived?: (bytes: number) => void
  /** All of it is here. */
  readonly whole: () => void
}

const newest = new WeakMap<Socket, Incoming>()

/**
 * A request whose body is counted as it arrives from the network, whoever reads it. It can fail while its connection
 * lives on, which has to carry the answer: destroying Node's own message destroys the connection.
 */
export class Incoming extends IncomingMessage {
  /** Bytes of the body so far. */
  arrived = 0
  /** Why the body will never be whole, where it was given up here. */
  failure: Error | undefined
  #watcher: BodyWatcher | undefined
  #discards = false

  constructor(socket: Socket) {
    super(socket)
    newest.set(socket, this)
  }

  /** The request that came last on a connection. */
  static newestOf(socket: Socket): Incoming | undefined {
    return newest.get(socket)
  }

  watch(watcher: BodyWatcher | undefined): void {
    this.#watcher = watcher
  }

  /** Node's parser calls it with every piece of the body, and with null at its end. */
  override push(chunk: Buffer | null, encoding?: BufferEncoding): boolean {
    if (chunk === null) {
      const watcher = this.#watcher
      this.#watcher = undefined
      watcher?.whole()
    } else {
      this.arrived += chunk.length
      this.#watcher?.arrived?.(chunk.length)
      // As if it had been read, so that the connection is read on.
      if (this.#discards) return true
    }
    return super.push(chunk, encoding)
  }

  /** Whoever reads the body gets the error. Where all of it has come nothing happens. */
  fail(error: Error): void {
    if (this.complete || this.destroyed) return
    this.failure = error
    this.destroy(error)
    this.discard()
  }

  /** What is still to come of the body is read and thrown away. */
  discard(): void {
    this.#discards = true
    this.unpipe()
    this.resume()
    this.socket.resume()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (this.failure === undefined) super._destroy(error, done)
    // As Node's own: an error is no event where nobody listens.
    else
      process.nextTick(() => {
        done(this.listenerCount('error') > 0 ? error : null)
      })
  }
}

/** A request's message; undefined where it came over no connection. */
export function incomingOf({ raw }: Pick<FastifyRequest, 'raw'>): Incoming | undefined {
  return raw instanceof Incoming ? raw : undefined
}
