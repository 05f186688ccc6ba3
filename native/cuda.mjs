import { existsSync, readdirSync, symlinkSync } from 'node:fs'
import { constants } from 'node:os'
import path from 'node:path'

const CUSOLVER = 'libcusolver.so.11'

/** What TensorFlow 2.21 opens by name when it finds a driver, and what those open in turn. */
const LIBRARIES = [
  ...['libcudart.so.12', 'libcublas.so.12', 'libcublasLt.so.12', 'libcudnn.so.9', 'libcufft.so.11'],
  ...['libcurand.so.10', CUSOLVER, 'libcusparse.so.12', 'libnccl.so.2', 'libcupti.so.12'],
  ...['libnvJitLink.so.12', 'libnvrtc.so.12'],
]

/**
 * @param {string} tree
 * @returns {{ name: string, problem: string | undefined }[]} Each CUDA library, and why it does not load.
 */
export function cudaLibraries(tree) {
  const nvidia = path.join(tree, 'nvidia')
  const shelves = existsSync(nvidia) ? readdirSync(nvidia).map((name) => path.join(nvidia, name, 'lib')) : []
  return LIBRARIES.map((name) => {
    const file = shelves.map((shelf) => path.join(shelf, name)).find((candidate) => existsSync(candidate))
    return { name, problem: file ? loadProblem(file) : 'not in the laid tree' }
  })
}

/**
 * libtensorflow_framework opens all CUDA libraries, but only libtensorflow_cc's RUNPATH names cuSOLVER's
 * directory: without this link TensorFlow misses that one and registers no GPU. The directory linked into
 * lies as deep as the library's own, so what the library needs by $ORIGIN is found as well.
 * @param {string} tree
 */
export function linkCusolver(tree) {
  const nvidia = path.join(tree, 'nvidia')
  if (!existsSync(nvidia)) return
  const target = path.join('..', '..', 'cusolver', 'lib', CUSOLVER)
  symlinkSync(target, path.join(nvidia, 'cuda_runtime', 'lib', CUSOLVER))
}

/**
 * Opens a library of the machine: Node refuses one that is no addon, but only after it was loaded.
 * @param {string} library
 * @returns {string | undefined}
 */
export function loadProblem(library) {
  try {
    process.dlopen({ exports: {} }, library, constants.dlopen.RTLD_LAZY)
  } catch (error) {
    const { message } = /** @type {Error} */ (error)
    return message.includes('did not self-register') ? undefined : message
  }
  return undefined
}
