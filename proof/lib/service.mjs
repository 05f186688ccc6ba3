import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startService } from '../../bench/lib/service.mjs'
import { Client } from './client.mjs'
import { limitMemory } from './memory-limit.mjs'
import { watchMemory } from './memory-watch.mjs'
import { json } from './requests.mjs'

/**
 * Starts the compiled service with a client that sends its key if it requires one. The caller stops it.
 * @param {string} folder Its DATA_DIR.
 * @param {Readonly<Record<string, string>>} [settings]
 */
export async function startWithClient(folder, settings = {}) {
  const { url, key, pid, pause, resume, stop } = await startService(folder, settings, { stderr: 'ignore' })
  const client = new Client(url, key === undefined ? {} : { authorization: `Bearer ${key}` })
  return {
    ...{ url, key, client, pid, pause, resume },
    stop: async () => {
      client.close()
      await stop()
    },
  }
}

/**
 * @typedef {object} LimitedService
 * @property {import('../../bench/lib/service.mjs').Service} service
 * @property {Client} client
 * @property {import('./memory-limit.mjs').MemoryLimit} limit
 * @property {ReturnType<typeof watchMemory>} memory
 */

/**
 * Runs the service with these models under a memory limit, and ends it with all its processes afterwards.
 * @template T
 * @param {number} bytes
 * @param {Readonly<Record<string, object>>} models Specifications by name.
 * @param {(limited: LimitedService) => Promise<T>} use
 */
export async function withLimitedService(bytes, models, use) {
  const folder = await mkdtemp(join(tmpdir(), 'resinit-limited-'))
  const limit = await limitMemory(bytes)
  const service = await startService(folder, {}, { stderr: 'ignore', within: limit.within })
  const client = new Client(service.url)
  const memory = watchMemory(limit, service.pid)
  try {
    for (const [name, specification] of Object.entries(models)) {
      const { status, bytes: body } = await client.send(json('/v1/models', { ...specification, name }))
      if (status !== 201) throw new Error(body.toString())
    }
    return await use({ service, client, limit, memory })
  } finally {
    client.close()
    await memory.stop()
    service.signalGroup('SIGKILL')
    await service.ended
    await limit.remove()
    await rm(folder, { recursive: true, force: true })
  }
}
