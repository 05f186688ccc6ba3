import { runProgram } from './subprocess.mjs'

/**
 * @typedef {{ version: string, gpu: boolean, log: string }} Loaded
 * @typedef {{ problem: string, log: string }} Unloaded
 */

// Node 23 removed util.isNullOrUndefined, which tfjs-node calls.
const SCRIPT = `
const util = require('node:util')
util.isNullOrUndefined ??= (value) => value === null || value === undefined
const tf = require(process.argv[1])
const { binding, isUsingGpuDevice } = tf.backend()
if (tf.tensor1d([1, 2, 3]).sum().dataSync()[0] !== 6) throw new Error('TensorFlow computes a wrong sum')
console.log(JSON.stringify({ version: binding.TF_Version, gpu: isUsingGpuDevice }))
`

/**
 * Loads the engine in a process of its own, because a broken library may end the process.
 * @param {string} tfjs
 * @returns {Promise<Loaded | Unloaded>}
 */
export async function loadEngine(tfjs) {
  const { status, signal, stdout, stderr } = await runProgram(process.execPath, ['-e', SCRIPT, tfjs])
  if (status === 0) {
    /** @type {Omit<Loaded, 'log'>} */
    const loaded = JSON.parse(stdout.trim().split('\n').at(-1) ?? '')
    return { ...loaded, log: stderr }
  }
  if (signal === 'SIGILL')
    return { problem: 'this CPU lacks instructions that TensorFlow needs (AVX)', log: stderr }
  const reason = /^(?:\w*Error): .*$/m.exec(stderr)?.[0] ?? stderr.trim().split('\n').at(-1)
  return { problem: reason || `the process ended with ${signal ?? `status ${String(status)}`}`, log: stderr }
}
