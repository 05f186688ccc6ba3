import type { Client } from './client.ts'

/** Stops a process with SIGSTOP. Throws without a process, since pid 0 means the own process group. */
export function halt(pid: number | undefined): void {
  process.kill(pidOf(pid), 'SIGSTOP')
}

export function resume(pid: number | undefined): void {
  process.kill(pidOf(pid), 'SIGCONT')
}

export function kill(pid: number | undefined): void {
  process.kill(pidOf(pid), 'SIGKILL')
}

/** Suspends a process while `act` runs, so that requests meet in it at any speed of the machine. */
export async function whileHalted<R>(pid: number | undefined, act: () => Promise<R>): Promise<R> {
  halt(pid)
  try {
    return await act()
  } finally {
    resume(pid)
  }
}

function pidOf(pid: number | undefined): number {
  if (pid === undefined) throw new Error('the process does not exist')
  return pid
}

/**
 * Waits until the service has read all requests sent before. Connections are served in order, so three round
 * trips are enough: arrival, reading, and the start of processing.
 */
export async function untilRead(client: Client): Promise<void> {
  for (let trip = 0; trip < 3; trip++) await client.get('/livez')
}
