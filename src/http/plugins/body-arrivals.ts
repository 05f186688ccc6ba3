import type { Config } from '../../config.ts'
import { ServiceError } from '../../common/errors.ts'
import type { Permit } from '../../serving/prediction/permit.ts'
import type { Incoming } from '../shared/incoming-requests.ts'

/** A body that brings less makes no progress: 2G brings more. */
const LEAST_BYTES_PER_S = 500
/** One that brings less than a poor mobile connection leaves first where there is no room. */
const SLOW_BYTES_PER_S = 16_384
/** So often within STALL_TIMEOUT_MS it is looked. */
const LOOKS = 4

interface Arriving {
  readonly permit: Permit
  /** What had come when it was looked last; undefined where it was not looked at yet. */
  seen: number | undefined
  /** Looks in succession that found no progress. */
  stalls: number
}

/**
 * Bodies on their way. Each takes its place byte by byte, so that one that is only announced keeps nobody out; and one that
 * makes no progress for STALL_TIMEOUT_MS is ended, while it is read as fast as it comes.
 */
export class Arrivals {
  readonly #arriving = new Map<Incoming, Arriving>()
  readonly #error: ServiceError
  readonly #timer: NodeJS.Timeout
  #lookedAt = performance.now()

  constructor({ STALL_TIMEOUT_MS }: Pick<Config, 'STALL_TIMEOUT_MS'>) {
    this.#error = new ServiceError(
      'REQUEST_TIMEOUT',
      `the body brought less than ${String(LEAST_BYTES_PER_S)} bytes a second for ${String(STALL_TIMEOUT_MS / 1000)} s (STALL_TIMEOUT_MS); send it again`,
    )
    this.#timer = setInterval(() => {
      this.#look()
    }, STALL_TIMEOUT_MS / LOOKS).unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  /** Fills a request's place as its body arrives; the body fails when the place is left before. QUEUE_FULL where no room is left for what has come. */
  follow(message: Incoming | undefined, permit: Permit, whole: () => void = () => undefined): void {
    if (message !== undefined) permit.reserve(permit.images, permit.bytes + message.arrived)
    if (message === undefined || message.complete) {
      whole()
      return
    }
    permit.arrival = 'steady'
    this.#arriving.set(message, { permit: permit, seen: undefined, stalls: 0 })
    const end = (): void => {
      this.#arriving.delete(message)
      permit.arrival = undefined
      message.watch(undefined)
    }
    permit.watch((reason) => {
      end()
      message.fail(reason as Error)
    })
    message.watch({
      arrived: (bytes) => {
        permit.receive(bytes)
      },
      whole: () => {
        end()
        whole()
      },
    })
  }

  #look(): void {
    const now = performance.now()
    const seconds = (now - this.#lookedAt) / 1000
    this.#lookedAt = now
    for (const [message, arriving] of this.#arriving) {
      const { permit: permit, seen } = arriving
      // What lies here unread does not come because it is not asked for.
      const rate =
        seen === undefined || message.readableLength > 0 ? Infinity : (message.arrived - seen) / seconds
      arriving.seen = message.arrived
      arriving.stalls = rate < LEAST_BYTES_PER_S ? arriving.stalls + 1 : 0
      permit.arrival = arriving.stalls > 0 ? 'stalled' : rate < SLOW_BYTES_PER_S ? 'slow' : 'steady'
      if (arriving.stalls >= LOOKS) permit.release(this.#error)
    }
  }
}
