/** The delay doubles with every early exit. After a child that was ready it is at most a second. */
const DELAY_MS = { first: 100, max: 10_000, maxIfStarted: 1000 }
/** A child that ran this long did not exit early. */
const STABLE_MS = 10_000
/**
 * After this many exits in a row before `ready`, calls are rejected at once. If no child was ever ready, none is
 * started.
 */
const START_ATTEMPTS = 3

/** Decides when a child process is restarted, from the exits of its predecessors. */
export class RestartPolicy {
  readonly #immediate: boolean
  #startedAt = 0
  #failures = 0
  #earlyExits = 0
  #restarts = 0

  /** `immediate` restarts a child without a delay if it was ready. */
  constructor(immediate: boolean) {
    this.#immediate = immediate
  }

  get restarts(): number {
    return this.#restarts
  }

  /** True after too many exits in a row before `ready`. */
  get isExhausted(): boolean {
    return this.#failures >= START_ATTEMPTS
  }

  recordStart(): void {
    this.#startedAt = Date.now()
  }

  recordReady(): void {
    this.#failures = 0
  }

  recordExit(): void {
    this.#failures += 1
    this.#restarts += 1
  }

  /** The delay before the next start, in ms. `wasReady` describes the child that exited. */
  nextDelay(wasReady: boolean): number {
    this.#earlyExits = Date.now() - this.#startedAt < STABLE_MS ? this.#earlyExits + 1 : 1
    if (wasReady && this.#immediate) return 0
    const max = wasReady ? DELAY_MS.maxIfStarted : DELAY_MS.max
    return Math.min(max, DELAY_MS.first * 2 ** (this.#earlyExits - 1))
  }
}
