import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/**
 * Response times in ms, and the longest time for which the machine did not run the prober.
 * @typedef {{ asked: number, failed: number, longest: number, p99: number, longestStall: number }} Probed
 */

/**
 * Starts a process that requests a path continuously. The returned function ends it.
 * @param {string} url
 * @param {string} path
 * @returns {Promise<() => Promise<Probed>>}
 */
export async function startProber(url, path) {
  const prober = spawn(process.execPath, ['proof/lib/prober.mjs', url, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: prober.stdout })[Symbol.asyncIterator]()
  await lines.next()
  return async () => {
    const exit = once(prober, 'exit')
    prober.kill()
    const { value } = await lines.next()
    await exit
    /** @type {Probed} */
    const probed = JSON.parse(String(value))
    return probed
  }
}
