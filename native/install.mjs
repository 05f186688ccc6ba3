import {
  copyFileSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import path from 'node:path'
import { bindingPath, removeAbandoned, treePath } from './cache.mjs'
import { bindingKey, compileBinding } from './compile.mjs'
import { locked } from './lock.mjs'
import { tfjsDirectory } from './package.mjs'
import { release } from './pins.mjs'
import { say } from './progress.mjs'

/**
 * @typedef {import('./pins.mjs').Flavour} Flavour
 * @typedef {import('./pins.mjs').Release} Release
 */

const BINDING = path.join('lib', 'napi-v8', 'tfjs_binding.node')

/**
 * Installs the libtensorflow of a flavour under tfjs-node-gpu; silent and quick if it is installed.
 * @param {Flavour} flavour
 */
export async function installFlavour(flavour) {
  const chosen = release(flavour)
  if (isLaid(chosen)) return
  await locked(async () => {
    if (isLaid(chosen)) return
    const start = Date.now()
    removeAbandoned()
    const { fetchTree } = await import('./fetch.mjs')
    const tree = await fetchTree(chosen)
    const binding = await compileBinding(chosen, tree)
    installTree(tree, binding)
    say(
      `libtensorflow ${chosen.version} (${flavour}): done in ${String(Math.ceil((Date.now() - start) / 1000))} s`,
    )
  })
}

/** @returns {Flavour | undefined} */
export function installedFlavour() {
  return /** @type {const} */ (['cpu', 'cuda']).find((flavour) => {
    try {
      return isLaid(release(flavour))
    } catch {
      return false
    }
  })
}

/**
 * Checks the files themselves, because `npm ci` removes them.
 * @param {Release} chosen
 */
function isLaid(chosen) {
  const tfjs = tfjsDirectory()
  try {
    if (readlinkSync(path.join(tfjs, 'deps')) !== treePath(chosen.key)) return false
    lstatSync(path.join(tfjs, 'deps', 'lib'))
    return readFileSync(path.join(tfjs, BINDING)).equals(readFileSync(bindingPath(bindingKey(chosen))))
  } catch {
    return false
  }
}

/**
 * One link for all of `deps`, so that switching the flavour is one rename. The binding is copied: a library
 * finds its neighbours relative to the path from which it is loaded.
 * @param {string} tree
 * @param {string} binding
 */
function installTree(tree, binding) {
  const tfjs = tfjsDirectory()
  const deps = path.join(tfjs, 'deps')
  if (lstatSync(deps, { throwIfNoEntry: false })?.isDirectory()) rmSync(deps, { recursive: true })
  const link = `${deps}-${String(process.pid)}`
  rmSync(link, { force: true })
  symlinkSync(tree, link)
  renameSync(link, deps)
  const target = path.join(tfjs, BINDING)
  mkdirSync(path.dirname(target), { recursive: true })
  copyFileSync(binding, `${target}-${String(process.pid)}`)
  renameSync(`${target}-${String(process.pid)}`, target)
}
