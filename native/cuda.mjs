import { existsSync, readdirSync, symlinkSync } from 'node:fs'
import { constants } from 'node:os'
import path from 'node:path'

const CUSOLVER = 'libcusolver.so.11'

/** The libraries that TensorFlow 2.21 opens by name when it finds a driver, and their dependencies. */
const LIBRARIES = [
  ...['libcudart.so.12', 'libcublas.so.12', 'libcublasLt.so.12', 'libcudnn.so.9', 'libcufft.so.11'],
  ...['libcurand.so.10', CUSOLVER, 'libcusparse.so.12', 'libnccl.so.2', 'libcupti.so.12'],
  ...['libnvJitLink.so.12', 'libnvrtc.so.12'],
]

/**
 * @param {string} tree
 * @returns {{ name: string, problem: string | undefined }[]} Each CUDA library, and the reason why it does
 * not load.
 */
export function cudaLibraries(tree) {
  const nvidia = path.join(tree, 'nvidia')
  const shelves = existsSync(nvidia) ? readdirSync(nvidia).map((name) => path.join(nvidia, name, 'lib')) : []
  return LIBRARIES.map((name) => {
    const file = shelves.map((shelf) => path.join(shelf, name)).find((candidate) => existsSync(candidate))
    return { name, problem: file ? loadProblem(file) : 'not in the installed tree' }
  })
}

/**
 * libtensorflow_framework opens all CUDA libraries, but only libtensorflow_cc's RUNPATH contains cuSOLVER's
 * directory. Without this link TensorFlow does not find it and registers no GPU. The link's directory is as
 * deep as the library's own, so $ORIGIN resolves its dependencies too.
 * @param {string} tree
 */
export function linkCusolver(tree) {
  const nvidia = path.join(tree, 'nvidia')
  if (!existsSync(nvidia)) return
  const target = path.join('..', '..', 'cusolver', 'lib', CUSOLVER)
  symlinkSync(target, path.join(nvidia, 'cuda_runtime', 'lib', CUSOLVER))
}

/**
 * Opens a system library: Node rejects one that is not an addon, but only after loading it.
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
