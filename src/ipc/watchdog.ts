import { readFileSync } from 'node:fs'

/** How finely time is counted. */
const TICKS = 8

export interface WatchdogOptions {
  readonly limitMs: number
  /** Whether there is something to wait for. */
  readonly isWaiting: () => boolean
  /** Called at every tick at which there is not. */
  readonly idle?: () => void
  /** Called when nothing was heard for longer than the limit. */
  readonly onTimeout: () => void
}

/**
 * Bites where nothing is heard for too long. Ticks of this process are counted and not time, so that what holds up this
 * process as well (a machine that sleeps) is not held against the one that is watched.
 */
export class Watchdog {
  readonly #timer: NodeJS.Timeout
  #silent = 0

  constructor({ limitMs, isWaiting: isWaiting, idle, onTimeout: onTimeout }: WatchdogOptions) {
    this.#timer = setInterval(() => {
      if (!isWaiting()) {
        this.#silent = 0
        idle?.()
      } else if (++this.#silent > TICKS) onTimeout()
    }, limitMs / TICKS)
  }

  heard(): void {
    this.#silent = 0
  }

  close(): void {
    clearInterval(this.#timer)
  }
}

/** Whether the system has stopped a process (SIGSTOP): it answers nothing before it is continued. Known on Linux only. */
export function isStopped(pid: number | undefined): boolean {
  try {
    const text = readFileSync(`/proc/${String(pid)}/stat`, 'utf8')
    // The state follows the command, which may hold anything.
    return text.slice(text.lastIndexOf(')') + 2).startsWith('T')
  } catch {
    return false
  }
}
