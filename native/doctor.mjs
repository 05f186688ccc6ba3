import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { CACHE, chosenFlavour, treePath } from './cache.mjs'
import { cudaLibraries, loadProblem } from './cuda.mjs'
import { loadEngine } from './engine.mjs'
import { installedFlavour } from './install.mjs'
import { tfjsDirectory } from './package.mjs'
import { PLATFORM, release } from './pins.mjs'
import { megabytes } from './progress.mjs'

/** @typedef {import('./pins.mjs').Flavour} Flavour */

const CPU_FEATURES = ['avx', 'avx2', 'fma', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'amx_bf16', 'amx_int8']

/** @returns {Promise<number>} The exit code: 0 if the engine loads. */
export async function examine() {
  const tfjs = tfjsDirectory()
  const flavour = installedFlavour()
  row('node', process.version)
  row('platform', `${PLATFORM}${flavour && !release(flavour).proven ? ' (not covered by a test)' : ''}`)
  row('cpu features', cpuFeatures())
  row('flavour', flavour ? `${flavour} installed, ${chosenFlavour()} chosen` : 'none installed')
  row('cache', `${CACHE} (${megabytes(sizeOf(CACHE))})`)

  if (!flavour) {
    row('libtensorflow', 'not in place')
    row('cure', `run \`node native/cli.mjs ${chosenFlavour()}\``)
    return 1
  }
  const engine = await loadEngine(tfjs)
  if ('problem' in engine) {
    row('libtensorflow', `does not load: ${engine.problem}`)
    row('cure', `remove ${treePath(release(flavour).key)} and run \`node native/cli.mjs ${flavour}\``)
    return 1
  }
  row('libtensorflow', engine.version)
  row('device', engine.gpu ? 'GPU' : 'CPU')
  const libraries = flavour === 'cuda' ? cudaLibraries(treePath(release(flavour).key)) : []
  for (const { name, problem } of libraries) row(name, problem ?? 'loads')
  if (!engine.gpu) row('no GPU since', whyNoGpu(flavour, libraries, engine.log))
  return 0
}

/**
 * @param {Flavour} flavour
 * @param {ReturnType<typeof cudaLibraries>} libraries
 * @param {string} log
 */
function whyNoGpu(flavour, libraries, log) {
  const visible = process.env['CUDA_VISIBLE_DEVICES']
  const missing = libraries.filter(({ problem }) => problem).map(({ name }) => name)
  if (flavour === 'cpu') return 'the cpu flavour is installed; `node native/cli.mjs cuda` installs the other'
  if (visible === '' || visible === '-1') return 'CUDA_VISIBLE_DEVICES hides every device; unset it'
  if (loadProblem('libcuda.so.1')) {
    return 'the NVIDIA driver (libcuda.so.1) is missing; install it, or start the container with `--gpus all`'
  }
  // /dev/dxg is the device under WSL.
  if (!existsSync('/dev/nvidia0') && !existsSync('/dev/dxg')) {
    return 'there is no device /dev/nvidia0; start the container with `--gpus all`'
  }
  if (missing.length > 0)
    return `${missing.join(', ')} cannot be loaded; reinstall them: \`node native/cli.mjs cuda\``
  const reason = log.split('\n').findLast((line) => /cuda|gpu/i.test(line))
  return `TensorFlow sees no GPU${reason ? `: ${reason.trim()}` : ''}`
}

function cpuFeatures() {
  if (!existsSync('/proc/cpuinfo')) return 'unknown'
  const info = readFileSync('/proc/cpuinfo', 'utf8')
  const flags = new Set(/^(?:flags|Features)\s*:(.*)$/m.exec(info)?.[1]?.trim().split(' '))
  return CPU_FEATURES.filter((name) => flags.has(name)).join(' ') || 'none of those that matter'
}

/**
 * @param {string} directory
 * @returns {number}
 */
function sizeOf(directory) {
  if (!existsSync(directory)) return 0
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => lstatSync(path.join(directory, name), { throwIfNoEntry: false }))
    .reduce((bytes, status) => bytes + (status?.isFile() ? status.size : 0), 0)
}

/**
 * @param {string} label
 * @param {string} value
 */
function row(label, value) {
  process.stdout.write(`${label.padEnd(20)}${value}\n`)
}
