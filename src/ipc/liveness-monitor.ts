import { isStopped, Watchdog } from './watchdog.ts'

/** A child that the system has stopped for so long is killed, even without a call: no step of a call takes this time. */
const STOPPED_TIMEOUT_MS = 15_000

export interface LivenessMonitorOptions {
  readonly pid: number | undefined
  /** A child is killed if an expected message takes longer. Without a limit, silence is not checked. */
  readonly limitMs: number | undefined
  /** True while the child is starting or has a call. */
  readonly isExpecting: () => boolean
  /** Sends a ping to a child without a call. */
  readonly ping: () => void
  /** Kills the child. `why` follows "the worker" in messages. */
  readonly kill: (why: string, limitMs: number) => void
}

/** Kills one child that is silent or stopped for too long. */
export class LivenessMonitor {
  readonly #watchdogs: Watchdog[] = []
  /** True from a ping to its answer. */
  #pinged = false
  #stopped = false

  constructor({ pid, limitMs, isExpecting, ping, kill }: LivenessMonitorOptions) {
    this.#watchdogs.push(
      new Watchdog({
        limitMs: STOPPED_TIMEOUT_MS,
        isWaiting: () => {
          this.#stopped = isStopped(pid)
          return this.#stopped
        },
        onTimeout: () => {
          kill('was stopped', STOPPED_TIMEOUT_MS)
        },
      }),
    )
    if (limitMs === undefined) return
    this.#watchdogs.push(
      new Watchdog({
        limitMs,
        isWaiting: () => this.#pinged || isExpecting(),
        idle: () => {
          this.#pinged = true
          ping()
        },
        onTimeout: () => {
          kill('was silent', limitMs)
        },
      }),
    )
  }

  /** True while the system has stopped the child (SIGSTOP). */
  get isStopped(): boolean {
    return this.#stopped
  }

  /** True until the child answers a ping. */
  get isPinged(): boolean {
    return this.#pinged
  }

  /** Restarts the time limits: the child has sent a message, or has received its first call. */
  reset(): void {
    this.#pinged = false
    for (const watchdog of this.#watchdogs) watchdog.reset()
  }

  close(): void {
    for (const watchdog of this.#watchdogs) watchdog.close()
    this.#stopped = false
  }
}
