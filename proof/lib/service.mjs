import { startService as start } from '../../bench/lib/service.mjs'
import { Client } from './client.mjs'

/**
 * The compiled service with a client that sends its key where it asks for one. Whoever starts it stops it.
 * @param {string} folder Its data.
 * @param {Readonly<Record<string, string>>} [settings]
 */
export async function startService(folder, settings = {}) {
  const { url, key, pid, pause, resume, stop } = await start(folder, settings, 'ignore')
  const client = new Client(url, key === undefined ? {} : { authorization: `Bearer ${key}` })
  return {
    ...{ url, key, client, pid, pause, resume },
    stop: async () => {
      client.close()
      await stop()
    },
  }
}
