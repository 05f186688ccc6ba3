import { cpus } from 'node:os'
import { environment } from '../lib/peers.mjs'
import { flags, freePort, startServer } from '../lib/server.mjs'

/**
 * LitServe. One worker process per core, as its documentation recommends for CPUs: while one decodes, another
 * computes. Each may use all cores for a single client, and none spins, which would take cores from the
 * others. A worker collects a batch until its timeout is over; 1 ms is the shortest poll of its queue. With a
 * timeout of 0 its idle loop takes a whole core.
 * @param {import('./contestants.mjs').Settings} overrides
 */
export function litserve(overrides) {
  const settings = {
    workers: cpus().length,
    threads: cpus().length,
    spinning: 0,
    batch: 32,
    'batch-timeout': 0.001,
    ...overrides,
  }
  return {
    /** @type {import('./contestants.mjs').Contestant['start']} */
    start: async ({ onnx }) => {
      const port = await freePort()
      const { python } = environment('litserve')
      const script = ['bench/python/litserve_peer.py', onnx, '--port', String(port)]
      const server = await startServer([python, ...script, ...flags(settings)], { port, health: '/health' })
      return { server, requestOf: (image) => ({ path: '/predict', ...multipart(image) }) }
    },
    read: (/** @type {string} */ body) => {
      /** @type {{ classes: import('./contestants.mjs').Top }} */
      const { classes } = JSON.parse(body)
      return classes
    },
  }
}

/** @param {Buffer} image */
function multipart(image) {
  const boundary = 'resinit-bench'
  const head = `--${boundary}\r\nContent-Disposition: form-data; name="image"; filename="image.jpg"\r\nContent-Type: image/jpeg\r\n\r\n`
  return {
    headers: { 'Content-Type': `multipart/form-data; boundary=${boundary}` },
    body: Buffer.concat([Buffer.from(head), image, Buffer.from(`\r\n--${boundary}--\r\n`)]),
  }
}
