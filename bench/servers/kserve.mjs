import { cpus } from 'node:os'
import { environment } from '../lib/peers.mjs'
import { flags, freePort, startServer } from '../lib/server.mjs'

/**
 * KServe's Python server. It does not batch (its agent's batcher is a program of its own, for V1 JSON tensors). One image
 * is computed over all cores, so that a single client waits the least, and as many images at once as there are cores:
 * one is decoded while another is computed, without spinning, and more would only crowd them. An image's own bytes are accepted as a V1
 * body, which spares base64 and JSON. One process: a second would have to share the cores, and HTTP is not what it waits
 * for; besides, its parent kills workers that were paused.
 * @param {import('./contestants.mjs').Settings} overrides
 */
export function kserve(overrides) {
  const settings = {
    workers: 1,
    concurrency: cpus().length,
    threads: cpus().length,
    spinning: 0,
    ...overrides,
  }
  return {
    /** @type {import('./contestants.mjs').Contestant['start']} */
    start: async ({ onnx }) => {
      const port = await freePort()
      const { python } = environment('kserve')
      const script = ['bench/python/kserve_peer.py', onnx, '--port', String(port)]
      const server = await startServer([python, ...script, ...flags(settings)], {
        port,
        health: '/v1/models/network',
        // Its FastAPI warns of what KServe calls.
        env: { PYTHONWARNINGS: 'ignore' },
      })
      const path = '/v1/models/network:predict'
      return {
        server,
        requestOf: (image) => ({ path, headers: { 'Content-Type': 'image/jpeg' }, body: image }),
      }
    },
    read: (/** @type {string} */ body) => {
      /** @type {{ predictions: import('./contestants.mjs').Top[] }} */
      const { predictions } = JSON.parse(body)
      return predictions[0] ?? []
    },
  }
}
