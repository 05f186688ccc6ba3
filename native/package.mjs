import { createRequire } from 'node:module'
import path from 'node:path'
import { Failure } from './failure.mjs'

const require = createRequire(import.meta.url)

/**
 * @param {string} name
 * @returns {string} The directory of an installed npm package.
 */
export function packageDirectory(name) {
  try {
    return path.dirname(require.resolve(`${name}/package.json`))
  } catch {
    throw new Failure(`The npm package ${name} is not installed: run \`npm ci\` first.`)
  }
}

export const tfjsDirectory = () => packageDirectory('@tensorflow/tfjs-node-gpu')
