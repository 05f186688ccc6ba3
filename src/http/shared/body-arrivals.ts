import type { Config } from '../../config.ts'
import { ServiceError } from '../../common/errors.ts'
import type { Permit } from '../../serving/prediction/permit.ts'
import type { Incoming } from './incoming-requests.ts'

declare module 'fastify' {
  interface FastifyInstance {
    readonly arrivals: BodyArrivals
  }
}

/** A slower body is stalled. A 2G connection is faster. */
const MIN_BYTES_PER_S = 500
/** A slower body is evicted first when memory runs out. A poor mobile connection is faster. */
const SLOW_BYTES_PER_S = 16_384
/** Checks within STALL_TIMEOUT_MS. */
const CHECKS = 4

interface Arrival {
  readonly permit: Permit
  /** Bytes received at the last check; undefined before the first. */
  seen: number | undefined
  /** Successive checks without progress. */
  stalls: number
}

/**
 * Bodies that are being received. Each reserves memory as its bytes arrive, so that an announced body takes none. A body
 * without progress for STALL_TIMEOUT_MS is aborted.
 */
export class BodyArrivals {
  readonly #arriving = new Map<Incoming, Arrival>()
  readonly #error: ServiceError
  readonly #timer: NodeJS.Timeout
  #checkedAt = performance.now()

  constructor({ STALL_TIMEOUT_MS }: Pick<Config, 'STALL_TIMEOUT_MS'>) {
    this.#error = new ServiceError(
      'REQUEST_TIMEOUT',
      `the body arrived at less than ${String(MIN_BYTES_PER_S)} bytes a second for ${String(STALL_TIMEOUT_MS / 1000)} s (STALL_TIMEOUT_MS); send it again`,
    )
    this.#timer = setInterval(() => {
      this.#check()
    }, STALL_TIMEOUT_MS / CHECKS).unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  /**
   * Reserves memory for a body as it arrives; QUEUE_FULL if none is left for the bytes received so far. The body fails
   * when the permit is released before its end.
   */
  follow(message: Incoming | undefined, permit: Permit, onComplete: () => void = () => undefined): void {
    if (message !== undefined) permit.reserve(permit.images, permit.bytes + message.received)
    if (message === undefined || message.complete) {
      onComplete()
      return
    }
    permit.arrival = 'steady'
    this.#arriving.set(message, { permit, seen: undefined, stalls: 0 })
    const end = (): void => {
      this.#arriving.delete(message)
      permit.arrival = undefined
      unwatch()
    }
    permit.watch((reason) => {
      end()
      message.fail(reason as Error)
    })
    const unwatch = message.watch({
      onBytes: (bytes) => {
        permit.receive(bytes)
      },
      onComplete: () => {
        end()
        onComplete()
      },
    })
  }

  #check(): void {
    const now = performance.now()
    const seconds = (now - this.#checkedAt) / 1000
    this.#checkedAt = now
    for (const [message, arrival] of this.#arriving) {
      const { permit, seen } = arrival
      // Unread bytes stop the stream: back pressure is not a stall.
      const rate =
        seen === undefined || message.readableLength > 0 ? Infinity : (message.received - seen) / seconds
      arrival.seen = message.received
      arrival.stalls = rate < MIN_BYTES_PER_S ? arrival.stalls + 1 : 0
      permit.arrival = arrival.stalls > 0 ? 'stalled' : rate < SLOW_BYTES_PER_S ? 'slow' : 'steady'
      if (arrival.stalls >= CHECKS) permit.release(this.#error)
    }
  }
}
