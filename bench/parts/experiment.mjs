import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { post, startService } from '../lib/service.mjs'

/**
 * Runs experiments of the service and prints their results as docs/experiment.md shows them. Meanwhile it
 * requests statistics of a model once a second and prints their latency. Usage: node
 * bench/parts/experiment.mjs [PRESET | JSON]...; without arguments all presets.
 */

/** @typedef {import('typebox').Static<typeof import('../../src/http/native/experiment-schemas.ts').ExperimentResult>} Result */
/** @typedef {import('typebox').Static<typeof import('../../src/http/native/experiment-schemas.ts').ExperimentPresetList>} Presets */

const MODEL = { architecture: 'resnet20', name: 'net' }
const EVERY_MS = 1000

const folder = await mkdtemp(join(tmpdir(), 'resinit-experiment-'))
const service = await startService(folder, { MAX_EXPERIMENT_SECONDS: '36000' })
try {
  const { presets } = /** @type {Presets} */ (await get('/v1/experiment-presets'))
  await post(service, '/v1/models', MODEL)
  const given = process.argv.slice(2)
  for (const word of given.length > 0 ? given : presets.map(({ name }) => name)) {
    const preset = presets.find(({ name }) => name === word)
    console.log(`\n## ${word}\n`)
    await run(preset === undefined ? /** @type {object} */ (JSON.parse(word)) : preset.experiment)
  }
} finally {
  await service.stop()
  await rm(folder, { recursive: true })
}

/** @param {object} experiment */
async function run(experiment) {
  const response = await post(service, '/v1/experiments', experiment)
  if (!response.ok) throw new Error(await response.text())
  const { id } = /** @type {Result} */ (await response.json())
  /** @type {number[]} */
  const waits = []
  for (let bins = 2; ; bins++) {
    const result = /** @type {Result} */ (await get(`/v1/experiments/${id}`))
    if (result.finished_at !== null) {
      printResult(result, waits)
      return
    }
    const started = performance.now()
    // Every request differs, since equal requests are answered from memory.
    await get(`/v1/models/net/statistics?bins=${String(bins)}`)
    waits.push(performance.now() - started)
    await setTimeout(EVERY_MS)
  }
}

/** @param {Result} result @param {readonly number[]} waits */
function printResult({ experiment, cost, summary, started_at, finished_at }, waits) {
  console.log(
    '| initializer | learning rate | final loss (95 %) | test accuracy | steps to target | diverged |',
  )
  console.log('| --- | --- | --- | --- | --- | --- |')
  for (const { initializer, learning_rate, runs, diverged, ...of } of summary.groups) {
    const { mean, interval } = of.final_loss
    const cells = [
      experiment.initializers[initializer]?.class_name,
      learning_rate,
      `${formatNumber(mean)}${interval === null ? '' : ` (${interval.map(formatNumber).join(' to ')})`}`,
      of.test_accuracy === null ? '' : formatNumber(of.test_accuracy.mean),
      of.steps_to_target === null ? '' : formatNumber(of.steps_to_target.mean),
      `${String(diverged)} of ${String(runs)}`,
    ]
    console.log(`| ${cells.join(' | ')} |`)
  }
  const seconds = (Date.parse(finished_at ?? '') - Date.parse(started_at ?? '')) / 1000
  const sorted = waits.toSorted((a, b) => a - b)
  const at = (/** @type {number} */ share) =>
    Math.round(sorted[Math.floor(share * (sorted.length - 1))] ?? NaN)
  console.log(`\n${summary.verdict ?? ''}\n`)
  console.log(
    `${String(Math.round(seconds))} s for ${String(cost.steps)} steps (${formatNumber((1000 * seconds) / cost.steps)} ms each; estimate: ${String(cost.estimated_seconds)} s); statistics of ResNet-20 meanwhile: median ${String(at(0.5))} ms, maximum ${String(at(1))} ms of ${String(waits.length)}`,
  )
}

/** @param {number | string} value */
function formatNumber(value) {
  return typeof value === 'number' ? String(Number(value.toPrecision(3))) : value
}

/** @param {string} path @returns {Promise<unknown>} */
async function get(path) {
  const answer = await fetch(service.url + path)
  if (!answer.ok) throw new Error(await answer.text())
  return answer.json()
}
