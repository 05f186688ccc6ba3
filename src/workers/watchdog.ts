/** How finely time is counted. */
const TICKS = 8

export interface WatchdogOptions {
  readonly limitMs: number
  /** Whether there is something to wait for. */
  readonly waits: () => boolean
  /** Called when nothing was heard for longer than the limit. */
  readonly bite: () => void
}

/**
 * Bites where nothing is heard for too long. Ticks of this process are counted and not time, so that what holds up this
 * process as well (a machine that sleeps) is not held against the one that is watched.
 */
export class Watchdog {
  readonly #timer: NodeJS.Timeout
  #silent = 0

  constructor({ limitMs, waits, bite }: WatchdogOptions) {
    this.#timer = setInterval(() => {
      this.#silent = waits() ? this.#silent + 1 : 0
      if (this.#silent > TICKS) bite()
    }, limitMs / TICKS)
  }

  heard(): void {
    this.#silent = 0
  }

  close(): void {
    clearInterval(this.#timer)
  }
}
