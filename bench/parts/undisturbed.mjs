import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { runPart, table } from '../lib/part.mjs'
import { quantile } from '../lib/rounds.mjs'
import { createModel, deleteModel, predict, readStatistics, startService } from '../lib/service.mjs'

/**
 * Latency of 50 requests a second to a tiny network, alone and while ResNet-152 and the article's network are
 * created, measured and deleted. Requests are sent on schedule, independent of earlier responses.
 */
const PER_SECOND = 50
/** Milliseconds above the p95 without other work. */
const BOUNDS = { p95: 150, most: 1000 }

const tiny = {
  architecture: {
    stem: { kernel_size: 3, filters: 4, strides: 1, pool: null },
    stages: [{ blocks: 1, filters: 4 }],
    input_shape: [8, 8, 3],
  },
  classes: 5,
}
const large = [
  { architecture: 'resnet152', initializers: { kernel: 'he_normal' } },
  { architecture: 'residual_network', initializers: { kernel: 'xavier_initializer' } },
]

const header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 8, 8, 3), }"
const image = Buffer.concat([
  Buffer.from('\x93NUMPY\x01\x00', 'latin1'),
  Buffer.from([118, 0]),
  Buffer.from(`${header.padEnd(117)}\n`),
  Buffer.alloc(192, 100),
])

/** @typedef {import('../lib/service.mjs').Service} Service */

await runPart('undisturbed', { rounds: 2, seconds: 20 }, async ({ rounds, seconds }) => {
  const folder = await mkdtemp(join(tmpdir(), 'resinit-bench-'))
  const service = await startService(folder)
  try {
    const { id } = await createModel(service, tiny)
    await latencies(service, id, pause(1000))
    const alone = await latencies(service, id, pause(1000 * seconds))
    const busy = await latencies(service, id, createMeasureDelete(service, rounds))
    const p95 = quantile(alone, 0.95)
    const added = { p95: quantile(busy, 0.95) - p95, most: Math.max(...busy) - p95 }
    if (!(added.p95 <= BOUNDS.p95 && added.most <= BOUNDS.most)) process.exitCode = 1
    const rows = Object.entries({ alone, meanwhile: busy }).map(([name, times]) => [
      `${name}, ms`,
      String(times.length),
      ...[0.5, 0.95, 0.99, 1].map((share) => quantile(times, share).toFixed(1)),
    ])
    const bounds = `With other work, above the p95 without: p95 ${added.p95.toFixed(1)} ms (bound ${String(BOUNDS.p95)}), maximum ${added.most.toFixed(1)} ms (bound ${String(BOUNDS.most)}).`
    return `${table(['', 'requests', 'p50', 'p95', 'p99', 'max'], rows)}\n\n${bounds}`
  } finally {
    await service.stop()
    await rm(folder, { recursive: true })
  }
})

/**
 * Milliseconds of every request sent while `work` ran.
 * @param {Service} service
 * @param {string} id
 * @param {Promise<unknown>} work
 */
async function latencies(service, id, work) {
  const over = new AbortController()
  void work
    .catch(() => undefined)
    .finally(() => {
      over.abort()
    })
  /** @type {Promise<number>[]} */
  const sent = []
  const began = performance.now()
  while (!over.signal.aborted) {
    const started = performance.now()
    const answered = predict(service, id, image, 'application/x-npy')
    sent.push(answered.then(() => performance.now() - started))
    await pause(Math.max(0, began + (1000 * sent.length) / PER_SECOND - performance.now()))
  }
  await work
  return Promise.all(sent)
}

/**
 * @param {Service} service
 * @param {number} rounds
 */
async function createMeasureDelete(service, rounds) {
  for (let seed = 0; seed < rounds; seed++) {
    for (const specification of large) {
      const { id } = await createModel(service, { ...specification, seed })
      await readStatistics(service, id)
      await deleteModel(service, id)
    }
  }
}
