import type { Client } from './client.ts'

/** Stops a process where it is: what is asked of it waits. Without a process it throws: pid 0 would be this group. */
export function halt(pid: number | undefined): void {
  process.kill(pidOf(pid), 'SIGSTOP')
}

export function resume(pid: number | undefined): void {
  process.kill(pidOf(pid), 'SIGCONT')
}

export function kill(pid: number | undefined): void {
  process.kill(pidOf(pid), 'SIGKILL')
}

/** Keeps a process from working while `act` runs, so that what must meet there meets, however fast it works. */
export async function whileHalted<R>(pid: number | undefined, act: () => Promise<R>): Promise<R> {
  halt(pid)
  try {
    return await act()
  } finally {
    resume(pid)
  }
}

function pidOf(pid: number | undefined): number {
  if (pid === undefined) throw new Error('there is no such process')
  return pid
}

/**
 * Waits until the service has read what was sent to it before: its connections are served in order, so three round trips
 * later (arriving, being read, going on from there) it has.
 */
export async function untilRead(client: Client): Promise<void> {
  for (let trip = 0; trip < 3; trip++) await client.get('/livez')
}
