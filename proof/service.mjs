import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { processGroup } from '../bench/server.mjs'
import { Client } from './client.mjs'

/**
 * The compiled service in processes of its own, as its users start it, on a free port, with a client that sends its key
 * where it asks for one. Whoever starts it stops it.
 * @param {string} folder Its data.
 * @param {Readonly<Record<string, string>>} [settings]
 */
export async function startService(folder, settings = {}) {
  const child = spawn(process.execPath, ['dist/main.js'], {
    detached: true,
    env: {
      ...process.env,
      ...{ HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'info', DATA_DIR: folder, DRAIN_DELAY_MS: '0' },
      ...settings,
    },
    stdio: ['ignore', 'pipe', 'ignore'],
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
  const url = `http://127.0.0.1:${port}`
  const client = new Client(url, key === undefined ? {} : { authorization: `Bearer ${key}` })
  return { url, key, client, pid: Number(child.pid), pause: group.pause, resume: group.resume, stop }

  async function stop() {
    client.close()
    await group.stop()
  }
}
