import { cpus } from 'node:os'
import { environment } from '../lib/peers.mjs'
import { flags, freePort, startServer } from '../lib/server.mjs'

/**
 * KServe's Python server. It does not batch (its agent's batcher is a separate program for V1 JSON tensors).
 * One image is computed over all cores, which gives a single client the least latency; the number of
 * concurrent images is the number of cores, without spinning: one is decoded while another is computed, and
 * more would only compete. The V1 body is the image itself, without base64 and JSON. One process: a second
 * one would share the cores, HTTP is not the bottleneck, and its parent kills workers that were paused.
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
        // FastAPI deprecation warnings of KServe's calls.
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
