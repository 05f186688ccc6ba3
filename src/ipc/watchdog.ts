import { readFileSync } from 'node:fs'

/** The resolution of the time limit. */
const TICKS = 8

export interface WatchdogOptions {
  readonly limitMs: number
  /** True while a message is expected. */
  readonly isWaiting: () => boolean
  /** Called at every tick without an expected message. */
  readonly idle?: () => void
  /** Called after more than `limitMs` without a message. */
  readonly onTimeout: () => void
}

/**
 * Calls `onTimeout` after too long a silence. Counts ticks of this process instead of time: a delay that affects this
 * process as well, such as a suspended machine, does not count as silence.
 */
export class Watchdog {
  readonly #timer: NodeJS.Timeout
  #silentTicks = 0

  constructor({ limitMs, isWaiting, idle, onTimeout }: WatchdogOptions) {
    this.#timer = setInterval(() => {
      if (!isWaiting()) {
        this.#silentTicks = 0
        idle?.()
      } else if (++this.#silentTicks > TICKS) onTimeout()
    }, limitMs / TICKS)
  }

  reset(): void {
    this.#silentTicks = 0
  }

  close(): void {
    clearInterval(this.#timer)
  }
}

/** True if the system has stopped a process (SIGSTOP): it answers nothing until it is continued. Linux only. */
export function isStopped(pid: number | undefined): boolean {
  try {
    const text = readFileSync(`/proc/${String(pid)}/stat`, 'utf8')
    // The state follows the command, which may contain any character.
    return text.slice(text.lastIndexOf(')') + 2).startsWith('T')
  } catch {
    return false
  }
}
