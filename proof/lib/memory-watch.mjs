import { readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { roleOf } from './processes.mjs'

/** @typedef {import('./memory-limit.mjs').MemoryLimit} MemoryLimit */

const EVERY_MS = 100

/**
 * Samples the memory of a service until it is stopped: the peak of the whole service and of the processes of
 * each role (VmHWM), in bytes.
 * @param {MemoryLimit} limit
 * @param {number} leader
 */
export function watchMemory(limit, leader) {
  /** @type {{ together: number, each: Record<string, number> }} */
  const peaks = { together: 0, each: {} }
  const sample = async () => {
    peaks.together = Math.max(peaks.together, await limit.bytesOf(leader))
    for (const pid of await limit.pidsOf(leader)) {
      const folder = `/proc/${String(pid)}`
      // The process may end during the sample.
      const [command, status] = await Promise.all(
        ['cmdline', 'status'].map((file) => readFile(`${folder}/${file}`, 'utf8').catch(() => '')),
      )
      const kilobytes = Number(/^VmHWM:\s+(\d+)/m.exec(status ?? '')?.[1] ?? 0)
      const role = roleOf(command ?? '')
      if (kilobytes > 0) peaks.each[role] = Math.max(peaks.each[role] ?? 0, kilobytes * 1024)
    }
  }
  const over = new AbortController()
  const looking = (async () => {
    while (!over.signal.aborted) {
      await sample()
      await pause(EVERY_MS)
    }
  })()
  return {
    peaks,
    stop: async () => {
      over.abort()
      await looking
    },
  }
}
