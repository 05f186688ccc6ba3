import { spawn } from 'node:child_process'

/** @typedef {{ status: number | null, signal: NodeJS.Signals | null, missing: boolean, stdout: string, stderr: string }} Outcome */

/**
 * Runs a program and collects its output. The program dies with this process, so an interrupted run leaves no
 * writer in the cache.
 * @param {string} program
 * @param {string[]} parameters
 * @param {NodeJS.ProcessEnv} [environment]
 * @returns {Promise<Outcome>}
 */
export function runProgram(program, parameters, environment = process.env) {
  return new Promise((resolve) => {
    const child = spawn(program, parameters, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
    const kill = () => child.kill('SIGKILL')
    process.on('exit', kill)
    let stdout = ''
    let stderr = ''
    let missing = false
    child.stdout.setEncoding('utf8').on('data', (text) => (stdout += String(text)))
    child.stderr.setEncoding('utf8').on('data', (text) => (stderr += String(text)))
    child.on('error', () => (missing = true))
    child.on('close', (status, signal) => {
      process.off('exit', kill)
      resolve({ status, signal, missing, stdout, stderr })
    })
  })
}
