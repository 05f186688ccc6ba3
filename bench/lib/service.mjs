import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { processGroup } from './server.mjs'

/**
 * This project's service with its child processes, in a process group of its own. `key` is the key that it logs if it
 * requires one; `ended` is its exit code or the signal that ended it.
 * @typedef {import('./server.mjs').Server & {
 *   pid: number,
 *   key: string | undefined,
 *   ended: Promise<number | NodeJS.Signals | null>,
 *   signal: (name: NodeJS.Signals) => void,
 *   signalGroup: (name: NodeJS.Signals) => void,
 * }} Service
 */
/** @typedef {{ id: string, artifact_bytes: number, weights_sha256: string | null }} Model */

/**
 * Starts the compiled service on a free port and resolves when it is ready. Rejects if it ends before.
 * @param {string} folder Its DATA_DIR.
 * @param {Readonly<Record<string, string>>} [settings]
 * @param {{ stderr?: 'inherit' | 'ignore', within?: readonly string[], root?: string }} [options] `within` is a command
 *   that runs the service, for example one that enters a network namespace; `root` is another checkout of the service.
 * @returns {Promise<Service>}
 */
export async function startService(
  folder,
  settings = {},
  { stderr = 'inherit', within = [], root = '.' } = {},
) {
  /** @type {string[]} */
  const command = [...within, process.execPath, 'dist/main.js']
  const [program = '', ...words] = command
  const child = spawn(program, words, {
    detached: true,
    cwd: root,
    env: {
      ...process.env,
      ...{ HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'info', DATA_DIR: folder, DRAIN_DELAY_MS: '0' },
      ...settings,
    },
    stdio: ['ignore', 'pipe', stderr],
  })
  const { pid } = child
  if (pid === undefined) throw new Error('the service cannot be started')
  const { signal: signalGroup, ...group } = processGroup(child)
  /** @type {Promise<number | NodeJS.Signals | null>} */
  const ended = once(child, 'close').then((how) => {
    const [code, by] = /** @type {[number | null, NodeJS.Signals | null]} */ (how)
    return code ?? by
  })
  let url = ''
  /** @type {string | undefined} */
  let key
  await new Promise((/** @type {(value?: undefined) => void} */ resolve, reject) => {
    // The log is read to its end, since a full pipe would stop the service.
    createInterface({ input: child.stdout }).on('line', (line) => {
      /** @type {{ msg: string, key?: string }} */
      const entry = JSON.parse(line)
      key ??= entry.key
      url = /^Server listening at (.*)$/.exec(entry.msg)?.[1] ?? url
      if (entry.msg === 'ready') resolve()
    })
    void ended.then((how) => {
      reject(new Error(`the service ended with ${String(how)} before it was ready`))
    })
  })
  return { url, pid, key, ended, signal: (name) => child.kill(name), signalGroup, ...group }
}

/**
 * @param {Service} service
 * @param {string} path
 * @param {object} body Sent as JSON.
 */
export function post({ url }, path, body) {
  return fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
}

/**
 * @param {Service} service
 * @param {object} specification
 */
export async function createModel(service, specification) {
  return modelIn(await post(service, '/v1/models', specification))
}

/**
 * @param {Service} service
 * @param {string} id
 */
export async function readModel({ url }, id) {
  return modelIn(await fetch(`${url}/v1/models/${id}`))
}

/**
 * @param {Service} service
 * @param {string} id
 */
export async function deleteModel({ url }, id) {
  const response = await fetch(`${url}/v1/models/${id}`, { method: 'DELETE' })
  if (!response.ok) throw new Error(await response.text())
}

/**
 * @param {Response} response
 * @returns {Promise<Model>}
 */
async function modelIn(response) {
  if (!response.ok) throw new Error(await response.text())
  return /** @type {Model} */ (await response.json())
}

/**
 * @param {Service} service
 * @param {string} id
 * @param {Buffer} image
 * @param {string} [type]
 */
export async function predict({ url }, id, image, type = 'image/jpeg') {
  const response = await fetch(`${url}/v1/models/${id}/predict`, {
    method: 'POST',
    headers: { 'content-type': type },
    body: Uint8Array.from(image),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(text)
}

/**
 * @param {Service} service
 * @param {string} id
 */
export async function readStatistics({ url }, id) {
  const response = await fetch(`${url}/v1/models/${id}/statistics`)
  const text = await response.text()
  if (!response.ok) throw new Error(text)
}

/**
 * Process ids of a service and of its current children.
 * @param {number} pid
 */
export async function pidsOf(pid) {
  const children = await readFile(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8')
  return [pid, ...children.split(' ').filter(Boolean).map(Number)]
}

/**
 * Current memory of all processes of the service, or the sum of their peaks, in MB.
 * @param {Service} service
 * @param {'VmRSS' | 'VmHWM'} field
 */
export async function megabytes({ pid }, field) {
  const pids = await pidsOf(pid)
  const texts = await Promise.all(pids.map((one) => readFile(`/proc/${String(one)}/status`, 'utf8')))
  const kilobytes = new RegExp(`^${field}:\\s+(\\d+)`, 'm')
  return texts.reduce((sum, text) => sum + (1024 / 1e6) * Number(kilobytes.exec(text)?.[1]), 0)
}
