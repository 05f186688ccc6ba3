import { setTimeout as pause } from 'node:timers/promises'
import type { Client, ProblemBody } from './client.ts'
import { npy } from './images.ts'

/** Stops a process where it is: what is asked of it waits. Without a process it throws: pid 0 would be this group. */
export function halt(pid: number | undefined): void {
  process.kill(pidOf(pid), 'SIGSTOP')
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
    process.kill(pidOf(pid), 'SIGCONT')
  }
}

function pidOf(pid: number | undefined): number {
  if (pid === undefined) throw new Error('there is no such process')
  return pid
}

/** Waits until so many images wait for the engine. A request that never fits says how many do, and changes nothing. */
export async function untilQueued(
  client: Client,
  images: number,
  model: { readonly name: string; readonly shape: readonly number[]; readonly maxQueue: number },
): Promise<void> {
  const shape = [model.maxQueue + 1, ...model.shape]
  const body = npy(shape, new Uint8Array(shape.reduce((size, length) => size * length, 1)))
  const start = Date.now()
  for (;;) {
    const { json } = await client.upload(`/v1/models/${model.name}/predict`, body, 'application/x-npy')
    const { detail } = json as ProblemBody
    const waiting = /^(\d+) images wait already/.exec(detail)?.[1]
    if (waiting === String(images)) return
    if (Date.now() - start > 20_000)
      throw new Error(`${String(images)} images should wait; the answer is ${detail}`)
    await pause(5)
  }
}
