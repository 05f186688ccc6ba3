import { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyRequest } from 'fastify'

/** Callbacks for a body that is being received. */
interface BodyWatcher {
  readonly onBytes?: (bytes: number) => void
  readonly onComplete: () => void
}

const newest = new WeakMap<Socket, Incoming>()

/**
 * A request that counts the bytes of its body as they arrive from the network, read or unread. Its body can fail while
 * the connection stays open for the response; destroying Node's own message destroys the connection.
 */
export class Incoming extends IncomingMessage {
  /** Bytes of the body so far. */
  received = 0
  /** The reason of `fail`. */
  failure: Error | undefined
  /** The Fastify request, from its first hook to the end of its response. */
  request: FastifyRequest | undefined
  #watcher: BodyWatcher | undefined
  #discards = false

  constructor(socket: Socket) {
    super(socket)
    newest.set(socket, this)
  }

  /** The last request of a connection. */
  static findNewest(socket: Socket): Incoming | undefined {
    return newest.get(socket)
  }

  /** Replaces the watcher. Returns a function that removes this one; it does nothing after a later call. */
  watch(watcher: BodyWatcher): () => void {
    this.#watcher = watcher
    return () => {
      if (this.#watcher === watcher) this.#watcher = undefined
    }
  }

  /** Node's parser calls it with every chunk of the body, and with null at its end. */
  override push(chunk: Buffer | null, encoding?: BufferEncoding): boolean {
    if (chunk === null) {
      const watcher = this.#watcher
      this.#watcher = undefined
      watcher?.onComplete()
    } else {
      this.received += chunk.length
      this.#watcher?.onBytes?.(chunk.length)
      // Report the chunk as read, so that the connection is read on.
      if (this.#discards) return true
    }
    return super.push(chunk, encoding)
  }

  /** Ends the body with an error for its reader. Does nothing after the end of the body. */
  fail(error: Error): void {
    if (this.complete || this.destroyed) return
    this.failure = error
    this.destroy(error)
    this.discard()
  }

  /** Reads the rest of the body and drops it. */
  discard(): void {
    this.#discards = true
    this.unpipe()
    this.resume()
    this.socket.resume()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (this.failure === undefined) super._destroy(error, done)
    // As in Node: without a listener the error is not emitted.
    else
      process.nextTick(() => {
        done(this.listenerCount('error') > 0 ? error : null)
      })
  }
}

/** The message of a request; undefined for an injected request without a connection. */
export function findIncoming({ raw }: Pick<FastifyRequest, 'raw'>): Incoming | undefined {
  return raw instanceof Incoming ? raw : undefined
}
