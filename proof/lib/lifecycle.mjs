import { readFile, readdir } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'

// Exit handlers stop the services; without these handlers a signal would skip them.
process.once('SIGINT', () => process.exit(130))
process.once('SIGTERM', () => process.exit(143))

/** A network that is built within tens of milliseconds. */
const tiny = {
  architecture: {
    stages: [{ blocks: 1, filters: 4 }],
    stem: { filters: 4, pool: null },
    input_shape: [8, 8, 3],
  },
  classes: 5,
}

/** @param {number} seed */
export const specificationOf = (seed) => ({ ...tiny, seed })

const IMAGE_BYTES = 8 * 8 * 3

/** An image of a tiny network: npy, uint8. */
export function image() {
  const text = `{'descr': '|u1', 'fortran_order': False, 'shape': (1, 8, 8, 3), }`
  const head = `${text.padEnd(117)}\n`
  const start = Buffer.from([0x93, ...Buffer.from('NUMPY'), 1, 0, head.length, 0])
  return Buffer.concat([start, Buffer.from(head), Buffer.alloc(IMAGE_BYTES, 9)])
}

/**
 * Returns the processes of a group that still run, once none is left or the patience is over.
 * @param {number} group
 * @param {number} patienceMs
 */
export async function orphansOf(group, patienceMs) {
  const until = performance.now() + patienceMs
  for (;;) {
    const left = await membersOf(group)
    if (left.length === 0 || performance.now() > until) return left
    await pause(20)
  }
}

/** Running processes of a group. @param {number} group */
export async function membersOf(group) {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = []
  for (const pid of pids) {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
    const [state, , inGroup] = text.slice(text.lastIndexOf(')') + 2).split(' ')
    if (Number(inGroup) === group && state !== 'Z') found.push(Number(pid))
  }
  return found
}
