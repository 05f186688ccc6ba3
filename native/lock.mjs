import { mkdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CACHE } from './cache.mjs'
import { say } from './progress.mjs'

const LOCK = path.join(CACHE, 'lock')
const BEAT_MS = 2_000
const STALE_MS = 20_000

/**
 * Runs alone among all processes of this cache. The holder touches the lock while it lives; one that was
 * killed is recognised by its process id on this host, by its silence in another container.
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
    utimesSync(LOCK, now, now)
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
      writeFileSync(path.join(LOCK, 'holder'), `${hostname()} ${String(process.pid)}`)
      return
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error
    }
    if (isStale()) {
      discard()
      continue
    }
    if (!waited) say('waiting for another process that is laying libtensorflow')
    await sleep(200)
  }
}

function isStale() {
  try {
    if (Date.now() - statSync(LOCK).mtimeMs > STALE_MS) return true
    const [host, pid] = readFileSync(path.join(LOCK, 'holder'), 'utf8').split(' ')
    return host === hostname() && !isAlive(Number(pid))
  } catch {
    // Just released, or its holder is not written yet.
    return false
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

// A rename first, so that of several waiters one removes the dead lock and none removes half of it.
function discard() {
  const grave = `${LOCK}-${String(process.pid)}`
  try {
    renameSync(LOCK, grave)
  } catch {
    return
  }
  rmSync(grave, { recursive: true, force: true })
}
