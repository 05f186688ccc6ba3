import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'

/** @typedef {import('./pins.mjs').Flavour} Flavour */

// Outside node_modules, since `npm ci` deletes those and the download should survive it.
export const CACHE = path.resolve(
  process.env['RESINIT_CACHE'] ||
    path.join(process.env['XDG_CACHE_HOME'] || path.join(homedir(), '.cache'), 'resinit'),
)
const PARTIAL = path.join(CACHE, 'partial')
const CHOICE = path.join(CACHE, 'flavour')

/** @param {string} key */
export const treePath = (key) => path.join(CACHE, 'libtensorflow', key)

/** @param {string} key */
export const bindingPath = (key) => path.join(CACHE, 'binding', `${key}.node`)

/** @returns {Flavour} The flavour that was last installed explicitly. */
export function chosenFlavour() {
  return existsSync(CHOICE) && readFileSync(CHOICE, 'utf8').trim() === 'cuda' ? 'cuda' : 'cpu'
}

/** @param {Flavour} flavour */
export function recordChoice(flavour) {
  const draft = `${CHOICE}-${String(process.pid)}`
  writeFileSync(draft, `${flavour}\n`)
  renameSync(draft, CHOICE)
}

/**
 * Everything in the cache is created in a directory of its own and published by one rename, so a final name
 * is always complete. Every exit except SIGKILL removes the directory; the next run removes leftovers.
 * @template T
 * @param {string} name
 * @param {(directory: string) => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function inPartial(name, work) {
  const directory = path.join(PARTIAL, `${name}-${String(process.pid)}`)
  const remove = () => {
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
  }
  mkdirSync(directory, { recursive: true })
  process.on('exit', remove)
  try {
    return await work(directory)
  } finally {
    process.off('exit', remove)
    remove()
  }
}

/** Only under the lock, where no other run has work in progress. */
export function removeAbandoned() {
  rmSync(PARTIAL, { recursive: true, force: true, maxRetries: 3 })
}

/**
 * @param {string} draft
 * @param {string} target
 */
export function land(draft, target) {
  mkdirSync(path.dirname(target), { recursive: true })
  try {
    renameSync(draft, target)
  } catch (error) {
    // Another machine on the same volume published the same content first; its copy is equal.
    if (!existsSync(target)) throw error
  }
}
