import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** Created by bench/peers.sh. An empty variable counts as unset. */
const FOLDER = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'resinit', 'bench')

/**
 * The Python environment of a peer.
 * @param {'model' | 'litserve' | 'kserve' | 'triton' | 'keras'} name
 */
export function environment(name) {
  const folder = join(FOLDER, name)
  if (!existsSync(join(folder, 'stamp')))
    throw new Error(`${folder} does not exist: run bash bench/peers.sh first`)
  return { folder, python: join(folder, 'bin', 'python') }
}

/**
 * Starts a peer that answers JSON lines on stdin with JSON lines on stdout, in order.
 * @param {string} python
 * @param {string[]} words The script and its arguments.
 */
export function startPeer(python, words) {
  const child = spawn(python, words, { stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  // If it ended early, its own messages and the error below give the reason.
  child.stdin.on('error', () => undefined)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    /**
     * @param {object} question
     * @returns {Promise<unknown>}
     */
    ask: async (question) => {
      child.stdin.write(`${JSON.stringify(question)}\n`)
      const { value, done } = await lines.next()
      if (done) throw new Error(`${words[0] ?? ''} ended`)
      /** @type {{ error?: string }} */
      const answer = JSON.parse(value)
      if (answer.error !== undefined) throw new Error(answer.error)
      return answer
    },
    close: async () => {
      child.stdin.end()
      await exited
    },
  }
}

/**
 * @param {string} python
 * @param {string[]} words
 */
export async function runPython(python, words) {
  const child = spawn(python, words, { stdio: 'inherit' })
  await once(child, 'exit')
  if (child.exitCode !== 0) throw new Error(`${words[0] ?? ''} failed`)
}
