import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, readdir } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'

/**
 * The compiled service as its users start it, in a process group of its own.
 * @typedef {object} ServiceProcess
 * @property {string} url
 * @property {number} pid Also its group.
 * @property {Promise<number | NodeJS.Signals | null>} ended Its exit code, or what ended it.
 * @property {(signal: NodeJS.Signals) => void} signal To the service alone.
 * @property {(signal: NodeJS.Signals) => void} signalGroup To it and its children.
 */

// Exit handlers end what was started; without these a signal would skip them.
process.once('SIGINT', () => process.exit(130))
process.once('SIGTERM', () => process.exit(143))

/** A network that is built in tens of milliseconds. */
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

/** One image of a tiny network as npy, uint8. */
export function image() {
  const text = `{'descr': '|u1', 'fortran_order': False, 'shape': (1, 8, 8, 3), }`
  const head = `${text.padEnd(117)}\n`
  const start = Buffer.from([0x93, ...Buffer.from('NUMPY'), 1, 0, head.length, 0])
  return Buffer.concat([start, Buffer.from(head), Buffer.alloc(IMAGE_BYTES, 9)])
}

/**
 * Resolves when it is ready; rejects with what it said where it ends before that.
 * @param {Readonly<Record<string, string>>} settings
 * @param {{ within?: readonly string[] }} [options] A command that runs it, such as one that enters a network.
 * @returns {Promise<ServiceProcess>}
 */
export async function startService(settings, { within = [] } = {}) {
  /** @type {string[]} */
  const command = [...within, process.execPath, 'dist/main.js']
  const [program = '', ...words] = command
  const child = spawn(program, words, {
    detached: true,
    env: {
      ...process.env,
      ...{ HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'info', DRAIN_DELAY_MS: '0' },
      ...settings,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const { pid } = child
  if (pid === undefined) throw new Error('the service cannot be started')
  /** @type {Promise<number | NodeJS.Signals | null>} */
  const ended = once(child, 'close').then((how) => {
    const [code, by] = /** @type {[number | null, NodeJS.Signals | null]} */ (how)
    return code ?? by
  })
  /** @param {number} target @param {NodeJS.Signals} name */
  const kill = (target, name) => {
    try {
      process.kill(target, name)
    } catch {
      // It has ended.
    }
  }
  const killAll = () => {
    kill(-pid, 'SIGKILL')
  }
  process.once('exit', killAll)
  void ended.then(() => process.off('exit', killAll))
  /** @type {string[]} */
  const said = []
  createInterface({ input: child.stderr }).on('line', (line) => said.push(line))
  let url = ''
  await new Promise((/** @type {(value?: undefined) => void} */ resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      /** @type {{ msg: string }} */
      const { msg } = JSON.parse(line)
      url = /^Server listening at (.*)$/.exec(msg)?.[1] ?? url
      if (msg === 'ready') resolve()
    })
    void ended.then((how) => {
      reject(new Error(`it ended with ${String(how)} before it was ready: ${said.slice(-3).join(' ')}`))
    })
  })
  return {
    ...{ url, pid, ended },
    signal: (name) => {
      kill(pid, name)
    },
    signalGroup: (name) => {
      kill(-pid, name)
    },
  }
}

/**
 * Processes of a group that still run, after so long at most.
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

/** Processes of a group that have not ended. @param {number} group */
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
