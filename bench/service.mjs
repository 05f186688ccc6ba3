import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'

/** @typedef {{ url: string, pids: number[], stop: () => Promise<void> }} Service */
/** @typedef {{ id: string, artifact_bytes: number, weights_sha256: string | null }} Model */

/**
 * The compiled service in a process of its own, on a free port, and the process ids of it and its workers.
 * @param {string} folder
 * @param {Readonly<Record<string, string>>} [settings]
 * @returns {Promise<Service>}
 */
export async function startService(folder, settings = {}) {
  const child = spawn(process.execPath, ['dist/main.js'], {
    env: { ...process.env, HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'info', DATA_DIR: folder, ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const pids = [Number(child.pid)]
  let url = ''
  for await (const line of createInterface({ input: child.stdout })) {
    /** @type {{ msg: string, worker?: string, pid: number }} */
    const { msg, pid } = JSON.parse(line)
    url = /^Server listening at (.*)$/.exec(msg)?.[1] ?? url
    if (msg === 'worker ready') pids.push(pid)
    if (msg === 'ready') break
  }
  // Nobody reads the log any more, and a full pipe would stop the service.
  child.stdout.resume()
  const stop = async () => {
    child.kill()
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  }
  return { url, pids, stop }
}

/**
 * @param {Service} service
 * @param {string} path
 * @param {RequestInit} request
 * @returns {Promise<Model>}
 */
export async function call({ url }, path, request = {}) {
  const response = await fetch(`${url}/v1/models${path}`, request)
  if (!response.ok) throw new Error(await response.text())
  return /** @type {Model} */ (await response.json())
}

/**
 * Memory that the service's processes hold now, or the most that each has held, in MB.
 * @param {Service} service
 * @param {'VmRSS' | 'VmHWM'} field
 */
export async function megabytes({ pids }, field) {
  const texts = await Promise.all(pids.map((pid) => readFile(`/proc/${String(pid)}/status`, 'utf8')))
  const kilobytes = new RegExp(`^${field}:\\s+(\\d+)`, 'm')
  return texts.reduce((sum, text) => sum + (1024 / 1e6) * Number(kilobytes.exec(text)?.[1]), 0)
}
