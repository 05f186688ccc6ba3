import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

/**
 * A server in a process group of its own. The caller stops it; it is killed if the bench ends early.
 *
 * While it is paused no process of the group runs, so idle polling (LitServe's workers wake a thousand times a second)
 * does not disturb another server's measurement. Pause only idle servers.
 * @typedef {{ url: string, pause: () => void, resume: () => void, stop: () => Promise<void> }} Server
 */

const START_MS = 120_000
const STOP_MS = 10_000
const POLL_MS = 100

/**
 * Controls the process group of a child that was just started as its leader.
 * @param {import('node:child_process').ChildProcess} child Spawned with `detached`.
 */
export function processGroup(child) {
  /** @param {NodeJS.Signals} name */
  const signal = (name) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name)
    } catch {
      // The group has ended.
    }
  }
  const kill = () => {
    signal('SIGKILL')
  }
  process.once('exit', kill)
  return {
    signal,
    pause: () => {
      signal('SIGSTOP')
    },
    resume: () => {
      signal('SIGCONT')
    },
    stop: async () => {
      signal('SIGCONT')
      // SIGTERM goes to the leader only, which ends its children in its own order.
      child.kill()
      if (child.exitCode === null && child.signalCode === null) {
        await Promise.race([once(child, 'exit'), pause(STOP_MS, undefined, { ref: false })])
      }
      // Children that remain.
      kill()
      process.off('exit', kill)
    },
  }
}

/** A free port. */
export async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

/**
 * Starts a server that listens on `port` of loopback and waits until `health` returns 200.
 * @param {string[]} command
 * @param {{ port: number, health: string, env?: Record<string, string> }} options
 * @returns {Promise<Server>}
 */
export async function startServer([program = '', ...words], { port, health, env = {} }) {
  const child = spawn(program, words, {
    detached: true,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  await once(child, 'spawn')
  const { signal: _, ...group } = processGroup(child)
  const url = `http://127.0.0.1:${String(port)}`
  const until = Date.now() + START_MS
  for (;;) {
    const answer = await fetch(`${url}${health}`).catch(() => undefined)
    await answer?.arrayBuffer()
    if (answer?.status === 200) return { url, ...group }
    if (child.exitCode !== null || Date.now() > until) {
      await group.stop()
      throw new Error(`${program} did not become healthy`)
    }
    await pause(POLL_MS)
  }
}

/**
 * Command-line flags.
 * @param {Record<string, number>} settings
 */
export function flags(settings) {
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])
}
