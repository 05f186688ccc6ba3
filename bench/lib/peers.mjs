import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** What bench/peers.sh has made; an empty variable counts as one that is not set. */
const FOLDER = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'resinit', 'bench')

/**
 * The Python environment of a peer.
 * @param {'model' | 'litserve' | 'kserve' | 'triton' | 'keras'} name
 */
export function environment(name) {
  const folder = join(FOLDER, name)
  if (!existsSync(join(folder, 'stamp'))) throw new Error(`no ${folder}: run bash bench/peers.sh first`)
  return { folder, python: join(folder, 'bin', 'python') }
}

/**
 * A peer that answers JSON lines on stdin with JSON lines on stdout, one after the other.
 * @param {string} python
 * @param {string[]} words The script and its arguments.
 */
export function startPeer(python, words) {
  const child = spawn(python, words, { stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  // Where it ended early, its own words and the sentence below say why.
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
