import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { machine } from './machine.mjs'
import { call, megabytes, startService } from './service.mjs'

/** @typedef {import('./service.mjs').Service} Service */

/**
 * The service as its users start it: from the request for a new model to its first prediction, and the statistics of
 * all parameters, in time and in memory. Every round takes a seed of its own, so nothing is known beforehand.
 */
const ROUNDS = 5
const SAMPLE_MS = 50

const image = await readFile('test/fixtures/flower.jpg')
/**
 * @param {Service} service
 * @param {string} path
 */
function predict(service, path) {
  return call(service, `${path}/predict`, {
    method: 'POST',
    headers: { 'content-type': 'image/jpeg' },
    body: image,
  })
}

/**
 * From the request for a model to the answer to its first prediction. Returns once the analysis, too, is done with it.
 * @param {Service} service
 * @param {object} specification
 */
async function create(service, specification) {
  const started = performance.now()
  const model = await call(service, '', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(specification),
  })
  const path = `/${model.id}`
  await predict(service, path)
  const ms = performance.now() - started
  while ((await call(service, path)).weights_sha256 === null) await pause(SAMPLE_MS)
  return { path, bytes: model.artifact_bytes, ms }
}

/**
 * @param {Service} service
 * @param {string} path
 */
async function measureStatistics(service, path) {
  const before = await megabytes(service, 'VmRSS')
  const started = performance.now()
  const answer = call(service, `${path}/statistics`).then(() => performance.now() - started)
  let extra = 0
  let ms
  while (ms === undefined) {
    ms = await Promise.race([answer, pause(SAMPLE_MS, undefined)])
    extra = Math.max(extra, (await megabytes(service, 'VmRSS')) - before)
  }
  return { ms, extra }
}

/**
 * @param {string} what
 * @param {number[]} values
 * @param {number} [bound]
 */
function report(what, values, bound) {
  const sorted = values.toSorted((a, b) => a - b)
  const numbers = [sorted[0], sorted[Math.floor(sorted.length / 2)], bound]
  const columns = numbers.map((value) => (value?.toFixed(0) ?? '').padStart(9))
  console.log(`${what.padEnd(68)}${columns.join('')}`)
}

const folder = await mkdtemp(join(tmpdir(), 'resinit-bench-'))
let service = await startService(folder)
try {
  console.log(machine())
  console.log(`${`of ${String(ROUNDS)} rounds`.padEnd(68)}    least   median    bound`)

  const resnets = []
  const articles = []
  for (let seed = 1; seed <= ROUNDS; seed++) {
    const [he, xavier] = ['he_normal', 'xavier_initializer'].map((kernel) => ({
      seed,
      initializers: { kernel },
    }))
    resnets.push(await create(service, { architecture: 'resnet50', ...he }))
    articles.push(await create(service, { architecture: 'residual_network', ...xavier }))
  }
  const creation = 'POST to first prediction, ms'
  const times = (/** @type {{ ms: number }[]} */ rounds) => rounds.map(({ ms }) => ms)
  report(`resnet50, he_normal: ${creation}`, times(resnets), 2000)
  report(
    'resnet50, he_normal: artifact_bytes',
    resnets.map(({ bytes }) => bytes),
    200_000,
  )
  report(`residual_network, xavier_initializer: ${creation}`, times(articles), 8000)

  const statistics = []
  const peaks = []
  for (const { path } of articles) {
    // Started anew, the analysis holds nothing yet of what a digest has drawn before.
    await service.stop()
    service = await startService(folder)
    statistics.push(await measureStatistics(service, path))
    await predict(service, path)
    peaks.push(await megabytes(service, 'VmHWM'))
  }
  report('residual_network: statistics of all parameters, ms', times(statistics), 15_000)
  const extras = statistics.map(({ extra }) => extra)
  report('residual_network: most resident memory meanwhile, MB above before', extras, 1500)
  report('residual_network: most memory of all processes, built and predicting, MB', peaks)
} finally {
  await service.stop()
  await rm(folder, { recursive: true })
}
