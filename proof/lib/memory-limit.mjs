import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { membersOf } from './lifecycle.mjs'
import { progress } from './part.mjs'

/**
 * A memory limit without swap for the service and all its processes.
 * @typedef {object} MemoryLimit
 * @property {string} how `cgroup v2`, `cgroup v1`, or `polling` where no group can be made.
 * @property {readonly string[]} within The command that runs another one under the limit.
 * @property {(leader: number) => Promise<number[]>} pidsOf Processes of the service that `leader` leads.
 * @property {(leader: number) => Promise<number>} bytesOf What they hold and the kernel cannot take back, in
 * bytes.
 * @property {() => Promise<number>} kills How many processes the kernel has killed for it.
 * @property {() => Promise<void>} remove After the last process has ended.
 */

const REMOVE_ATTEMPTS = 100
const REMOVE_MS = 100
const MOUNTS = '/proc/self/mounts'
const NAME = `resinit-proof-${String(process.pid)}`
/**
 * File names of each version of cgroups: `stats` are counters of unreclaimable memory, `kills` contains the
 * number of killed processes.
 */
const VERSIONS = [
  {
    ...{ how: 'cgroup v2', type: 'cgroup2', option: 'rw', own: /^0::(.*)$/m },
    ...{ limits: ['memory.max'], swap: { file: 'memory.swap.max', allowed: 0 } },
    ...{ stats: ['anon', 'shmem'], kills: 'memory.events' },
  },
  {
    ...{ how: 'cgroup v1', type: 'cgroup', option: 'memory', own: /^\d+:(?:\S*,)?memory(?:,\S*)?:(.*)$/m },
    ...{ limits: ['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes'] },
    ...{ swap: { file: 'memory.swappiness', allowed: 0 } },
    ...{ stats: ['total_rss', 'total_shmem'], kills: 'memory.oom_control' },
  },
]

/**
 * Creates a control group if the machine allows it. Otherwise the caller compares `bytesOf` with the limit.
 * @param {number} bytes
 * @returns {Promise<MemoryLimit>}
 */
export async function limitMemory(bytes) {
  for (const version of VERSIONS)
    for (const parent of await parentsOf(version)) {
      const folder = join(parent, NAME)
      try {
        await makeGroup(folder, version, bytes)
        return groupOf(folder, version)
      } catch (error) {
        progress(`no ${version.how} in ${parent}: ${/** @type {Error} */ (error).message}`)
        await rmdir(folder).catch(() => undefined)
      }
    }
  progress(
    'WARNING: no control group can be created (it needs root and a writable /sys/fs/cgroup); memory is polled',
  )
  return {
    how: 'polling',
    within: [],
    pidsOf: membersOf,
    bytesOf: async (leader) => {
      const held = await Promise.all((await membersOf(leader)).map(unreclaimable))
      return held.reduce((sum, one) => sum + one, 0)
    },
    kills: () => Promise.resolve(0),
    remove: () => Promise.resolve(),
  }
}

/**
 * Groups that may hold a child group: the group of this process, then the root.
 * @param {(typeof VERSIONS)[number]} version
 */
async function parentsOf({ type, option, own }) {
  const mounts = (await readFile(MOUNTS, 'utf8')).split('\n').map((line) => line.split(' '))
  const root = mounts.find(
    ([, , kind, options = '']) => kind === type && options.split(',').includes(option),
  )?.[1]
  if (root === undefined) return []
  const path = own.exec(await readFile('/proc/self/cgroup', 'utf8'))?.[1] ?? '/'
  return [...new Set([resolve(join(root, path)), root])]
}

/** @param {string} folder @param {(typeof VERSIONS)[number]} version @param {number} bytes */
async function makeGroup(folder, { limits, swap }, bytes) {
  await mkdir(folder)
  const has = (/** @type {string} */ file) => readFile(join(folder, file)).then(Boolean, () => false)
  const [main = '', ...others] = limits
  // In version 2 a group has memory files only if its parent delegates the controller.
  if (!(await has(main))) await writeFile(join(folder, '..', 'cgroup.subtree_control'), '+memory')
  await writeFile(join(folder, main), String(bytes))
  for (const file of others) if (await has(file)) await writeFile(join(folder, file), String(bytes))
  if (await has(swap.file)) await writeFile(join(folder, swap.file), String(swap.allowed))
}

/** @param {string} folder @param {(typeof VERSIONS)[number]} version @returns {MemoryLimit} */
function groupOf(folder, { how, stats, kills }) {
  const members = join(folder, 'cgroup.procs')
  const numberIn = (/** @type {string} */ text, /** @type {string} */ name) =>
    Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0)
  return {
    how,
    within: ['sh', '-c', 'echo $$ > "$0" && exec "$@"', members],
    pidsOf: async () => (await readFile(members, 'utf8')).split('\n').filter(Boolean).map(Number),
    bytesOf: async () => {
      const text = await readFile(join(folder, 'memory.stat'), 'utf8')
      return stats.reduce((sum, name) => sum + numberIn(text, name), 0)
    },
    kills: async () => numberIn(await readFile(join(folder, kills), 'utf8'), 'oom_kill'),
    remove: () => removeGroup(folder),
  }
}

/** Waits for killed members, which stay in the group until the kernel has released their memory. @param {string} folder */
async function removeGroup(folder) {
  for (let attempt = 0; ; attempt++) {
    try {
      await rmdir(folder)
      return
    } catch (error) {
      if (attempt === REMOVE_ATTEMPTS) throw error
      await sleep(REMOVE_MS)
    }
  }
}

/** Memory of a process that only swap could free; 0 after it has ended. @param {number} pid */
async function unreclaimable(pid) {
  const text = await readFile(`/proc/${String(pid)}/status`, 'utf8').catch(() => '')
  const kilobytes = [...text.matchAll(/^Rss(?:Anon|Shmem):\s+(\d+)/gm)].map(([, digits]) => Number(digits))
  return kilobytes.reduce((sum, one) => sum + one, 0) * 1024
}
