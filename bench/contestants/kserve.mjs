import { cpus } from 'node:os'
import { environment } from '../peers.mjs'
import { flags, freePort, startServer } from '../server.mjs'

/**
 * KServe's Python server. It does not batch (its agent's batcher is a program of its own, for V1 JSON tensors), so one
 * image is computed over all cores and several at once in threads: at one client that halves the time that a process
 * with one core takes, at many the cores are as busy. An image's own bytes are accepted as a V1 body, which spares
 * base64 and JSON.
 * @param {import('../contestants.mjs').Settings} overrides
 */
export function kserve(overrides) {
  const settings = { workers: 1, threads: cpus().length, ...overrides }
  return {
    /** @type {import('../contestants.mjs').Contestant['start']} */
    start: async ({ onnx }) => {
      const port = await freePort()
      const { python } = environment('kserve')
      const command = [python, 'bench/peers/kserve_peer.py', onnx, '--port', String(port), ...flags(settings)]
      const health = '/v1/models/network'
      // Its FastAPI warns of what KServe calls.
      const env = { PYTHONWARNINGS: 'ignore' }
      const server = await startServer(command, { port, health, env })
      const path = '/v1/models/network:predict'
      return {
        server,
        requestOf: (image) => ({ path, headers: { 'Content-Type': 'image/jpeg' }, body: image }),
      }
    },
    read: (/** @type {string} */ body) => {
      /** @type {{ predictions: import('../contestants.mjs').Top[] }} */
      const { predictions } = JSON.parse(body)
      return predictions[0] ?? []
    },
  }
}
