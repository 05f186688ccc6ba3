import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { processGroup } from './server.mjs'

/**
 * Our own service, with its process, which has children, and the key that it has made where it asks for one.
 * @typedef {import('./server.mjs').Server & { pid: number, key: string | undefined }} Service
 */
/** @typedef {{ id: string, artifact_bytes: number, weights_sha256: string | null }} Model */

/**
 * The compiled service in processes of its own, as its users start it, on a free port.
 * @param {string} folder Its data.
 * @param {Readonly<Record<string, string>>} [settings]
 * @param {'inherit' | 'ignore'} [stderr]
 * @returns {Promise<Service>}
 */
export async function startService(folder, settings = {}, stderr = 'inherit') {
  const child = spawn(process.execPath, ['dist/main.js'], {
    detached: true,
    env: {
      ...process.env,
      ...{ HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'info', DATA_DIR: folder, DRAIN_DELAY_MS: '0' },
      ...settings,
    },
    stdio: ['ignore', 'pipe', stderr],
  })
  const group = processGroup(child)
  let port = ''
  /** @type {string | undefined} */
  let key
  for await (const line of createInterface({ input: child.stdout })) {
    /** @type {{ msg: string, key?: string }} */
    const entry = JSON.parse(line)
    key ??= entry.key
    port = /^Server listening at .*:(\d+)$/.exec(entry.msg)?.[1] ?? port
    if (entry.msg === 'ready') break
  }
  // Nobody reads the log any more, and a full pipe would stop the service.
  child.stdout.resume()
  return { url: `http://127.0.0.1:${port}`, pid: Number(child.pid), key, ...group }
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
 * Process ids of a service and of the children that it has now.
 * @param {number} pid
 */
export async function pidsOf(pid) {
  const children = await readFile(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8')
  return [pid, ...children.split(' ').filter(Boolean).map(Number)]
}

/**
 * Memory that the service's processes hold now, or the most that each has held, in MB.
 * @param {Service} service
 * @param {'VmRSS' | 'VmHWM'} field
 */
export async function megabytes({ pid }, field) {
  const pids = await pidsOf(pid)
  const texts = await Promise.all(pids.map((one) => readFile(`/proc/${String(one)}/status`, 'utf8')))
  const kilobytes = new RegExp(`^${field}:\\s+(\\d+)`, 'm')
  return texts.reduce((sum, text) => sum + (1024 / 1e6) * Number(kilobytes.exec(text)?.[1]), 0)
}
