import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { hostname } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CACHE } from './cache.mjs'
import { say } from './progress.mjs'

const LOCK = path.join(CACHE, 'lock')
const HOLDER = path.join(LOCK, 'holder')
const BEAT_MS = 2_000
const STALE_MS = 20_000

/**
 * Runs exclusively among all processes with this cache. The holder touches the lock while it lives. A killed
 * holder is detected by its process id on this host, or by a stale lock in another container.
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function locked(work) {
  await acquire()
  const release = () => {
    rmSync(LOCK, { recursive: true, force: true })
  }
  const beat = setInterval(() => {
    const now = new Date()
    try {
      utimesSync(LOCK, now, now)
    } catch {
      // The lock was taken over, for example after the machine slept. Published files are still complete.
    }
  }, BEAT_MS)
  process.on('exit', release)
  try {
    return await work()
  } finally {
    clearInterval(beat)
    process.off('exit', release)
    release()
  }
}

async function acquire() {
  mkdirSync(CACHE, { recursive: true })
  for (let waited = false; ; waited = true) {
    try {
      mkdirSync(LOCK)
      writeFileSync(HOLDER, `${hostname()} ${String(process.pid)}`)
      return
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error
    }
    const dead = deadHolder()
    if (dead !== undefined) {
      discard(dead)
      continue
    }
    if (!waited) say('waiting for another process that is installing libtensorflow')
    await sleep(200)
  }
}

/**
 * @returns {string | undefined} The dead holder of the lock; undefined if it is alive; '' if it died before
 * it wrote its name.
 */
function deadHolder() {
  try {
    const silent = Date.now() - statSync(LOCK).mtimeMs > STALE_MS
    const holder = existsSync(HOLDER) ? readFileSync(HOLDER, 'utf8') : ''
    if (silent) return holder
    const [host, pid] = holder.split(' ')
    return host === hostname() && !isAlive(Number(pid)) ? holder : undefined
  } catch {
    // Just released.
    return undefined
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM'
  }
}

/**
 * Renames first, so that one of several waiters removes the dead lock. A late one that renamed a new lock
 * gives it back.
 * @param {string} dead
 */
function discard(dead) {
  const grave = `${LOCK}-${String(process.pid)}`
  try {
    renameSync(LOCK, grave)
    const holder = path.join(grave, 'holder')
    if ((existsSync(holder) ? readFileSync(holder, 'utf8') : '') !== dead) {
      renameSync(grave, LOCK)
      return
    }
  } catch {
    // Another process removed it, or took it meanwhile.
  }
  rmSync(grave, { recursive: true, force: true })
}
