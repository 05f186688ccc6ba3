import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { machine } from './machine.mjs'
import { call, startService } from './service.mjs'

/**
 * How calm the service stays: a tiny network is asked 50 times a second, alone, and while ResNet-152 and the article's
 * network are created, measured and deleted. A request is sent when its time has come, answered or not the one before.
 */
const PER_SECOND = 50
const ALONE_MS = 20_000
const ROUNDS = 2
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
const json = { 'content-type': 'application/json' }

const header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 8, 8, 3), }"
const image = Buffer.concat([
  Buffer.from('\x93NUMPY\x01\x00', 'latin1'),
  Buffer.from([118, 0]),
  Buffer.from(`${header.padEnd(117)}\n`),
  Buffer.alloc(192, 100),
])

const folder = await mkdtemp(join(tmpdir(), 'resinit-bench-'))
const service = await startService(folder)

/**
 * Milliseconds of every request sent while `work` ran.
 * @param {Promise<unknown>} work
 */
async function latencies(work) {
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
    sent.push(
      call(service, '/tiny/predict', {
        method: 'POST',
        headers: { 'content-type': 'application/x-npy' },
        body: image,
      }).then(() => performance.now() - started),
    )
    await pause(Math.max(0, began + (1000 * sent.length) / PER_SECOND - performance.now()))
  }
  await work
  return (await Promise.all(sent)).toSorted((a, b) => a - b)
}

async function createMeasureDelete() {
  for (let seed = 0; seed < ROUNDS; seed++) {
    for (const specification of large) {
      const body = JSON.stringify({ ...specification, seed })
      const { id } = await call(service, '', { method: 'POST', headers: json, body })
      await call(service, `/${id}/statistics`)
      await fetch(`${service.url}/v1/models/${id}`, { method: 'DELETE' })
    }
  }
}

/** @param {number[]} sorted @param {number} share */
const quantile = (sorted, share) => sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN

try {
  console.log(machine())
  await call(service, '', { method: 'POST', headers: json, body: JSON.stringify({ ...tiny, name: 'tiny' }) })
  await latencies(pause(1000))
  const alone = await latencies(pause(ALONE_MS))
  const busy = await latencies(createMeasureDelete())
  console.log(
    `${''.padEnd(12)}${['requests', 'p50', 'p95', 'p99', 'most'].map((name) => name.padStart(9)).join('')}`,
  )
  for (const [name, sorted] of Object.entries({ alone, meanwhile: busy })) {
    const times = [0.5, 0.95, 0.99, 1].map((share) => quantile(sorted, share).toFixed(1))
    console.log(name.padEnd(12) + [String(sorted.length), ...times].map((text) => text.padStart(9)).join(''))
  }
  const added = {
    p95: quantile(busy, 0.95) - quantile(alone, 0.95),
    most: quantile(busy, 1) - quantile(alone, 0.95),
  }
  console.log(`p95 rose by ${added.p95.toFixed(1)} ms; bound ${String(BOUNDS.p95)}`)
  console.log(
    `the slowest took ${added.most.toFixed(1)} ms above the p95 alone; bound ${String(BOUNDS.most)}`,
  )
  if (added.p95 > BOUNDS.p95 || added.most > BOUNDS.most) process.exitCode = 1
} finally {
  await service.stop()
  await rm(folder, { recursive: true })
}
