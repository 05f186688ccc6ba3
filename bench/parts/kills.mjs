import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { machine } from '../lib/machine.mjs'

/**
 * Kills the engine at random moments while clients continuously query two models. The first argument is the
 * number of kills (300). Around one kill in thirty it measures the rate of responses. Fails if a response is
 * lost or belongs to another image, if a model ends in quarantine, or if the median rate does not recover in
 * time.
 */
const KILLS = Number(process.argv[2] ?? 300)
const CLIENTS = 8
const IMAGES = 12
const SHAPE = [32, 32, 3]
/**
 * One kill in thirty is measured: the rate of the second that begins `afterMs` later, as a share of the rate
 * before.
 */
const WATCHED = Math.floor(KILLS / 30)
const BACK = { afterMs: 4000, share: 0.9 }
/** Longest time between a response and the next kill, in ms. */
const LONGEST_LIFE_MS = 400
/**
 * Share of the largest logit: above the difference between batch sizes, far below the difference between
 * images.
 */
const TOLERANCE = 1e-4

// Compiled modules with the types of their sources, so that type checks need no build.
const built = (/** @type {string} */ name) => import(new URL(`../../dist/${name}.js`, import.meta.url).href)
/** @type {typeof import('../../src/config.ts')} */
const { readConfig } = await built('config')
/** @type {typeof import('../../src/formats/npy.ts')} */
const { npyHeader } = await built('formats/npy')
/** @type {typeof import('../../src/service.ts')} */
const { buildService } = await built('service')

const folder = await mkdtemp(join(tmpdir(), 'resinit-kills-'))
const service = await buildService(readConfig({ DATA_DIR: folder, LOG_LEVEL: 'silent' }))
const { app, engine } = service
const url = await app.listen({ host: '127.0.0.1', port: 0 })
await service.started()

/** @param {number} index */
function imageOf(index) {
  const size = SHAPE.reduce((product, length) => product * length, 1)
  const pixels = Float32Array.from({ length: size }, (_, i) => ((i * 7919 + index * 31) % 251) - 125)
  return Buffer.concat([npyHeader([1, ...SHAPE]), Buffer.from(pixels.buffer)])
}

const images = Array.from({ length: IMAGES }, (_, index) => imageOf(index))

/**
 * @param {string} model
 * @param {number} index
 * @returns {Promise<number[]>}
 */
async function logitsOf(model, index) {
  const answer = await fetch(`${url}/v1/models/${model}/predict?include=logits`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-npy' },
    body: images[index] ?? null,
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(text)
  /** @type {{ predictions: [{ logits: number[] }] }} */
  const { predictions } = JSON.parse(text)
  return predictions[0].logits
}

/** @param {string} name @param {number} seed */
async function create(name, seed) {
  const architecture = { stages: [{ blocks: 2, filters: 16 }], input_shape: SHAPE }
  const answer = await fetch(`${url}/v1/models`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ architecture, classes: 10, seed, name }),
  })
  if (!answer.ok) throw new Error(await answer.text())
}

const models = ['one', 'two']
for (const [seed, name] of models.entries()) await create(name, seed)
/** @type {Map<string, number[][]>} */
const known = new Map()
for (const model of models) {
  const logits = []
  for (const index of images.keys()) logits.push(await logitsOf(model, index))
  known.set(model, logits)
}

let answered = 0
/** Ends the clients. */
const stop = new AbortController()
/** @type {string[]} */
const wrong = []

/** @param {number} client */
async function queryModels(client) {
  for (let call = client; !stop.signal.aborted; call += 1) {
    const model = models[call % models.length] ?? ''
    const index = (call * 5) % IMAGES
    try {
      const got = await logitsOf(model, index)
      const wanted = known.get(model)?.[index] ?? []
      const largest = Math.max(...wanted.map(Math.abs))
      const off = Math.max(...got.map((logit, i) => Math.abs(logit - (wanted[i] ?? NaN))))
      if (!(off <= TOLERANCE * largest)) wrong.push(`${model} ${String(index)} differs by ${String(off)}`)
      answered += 1
    } catch (error) {
      wrong.push(String(error))
    }
  }
}

async function kill() {
  const before = engine.restarts
  const { pid } = engine
  if (pid === undefined) throw new Error('the engine has no process')
  process.kill(pid, 'SIGKILL')
  while (engine.restarts === before) await pause(5)
}

/** Responses during the next second. */
async function rate() {
  const [before, started] = [answered, performance.now()]
  await pause(1000)
  return ((answered - before) / (performance.now() - started)) * 1000
}

const clients = Array.from({ length: CLIENTS }, (_, client) => queryModels(client))
for (let kills = 0; kills < KILLS - WATCHED; kills += 1) {
  const answeredBefore = answered
  while (!engine.ready || answered === answeredBefore) await pause(5)
  await pause(Math.random() * LONGEST_LIFE_MS)
  await kill()
}
await pause(BACK.afterMs)
const shares = []
for (let kills = 0; kills < WATCHED; kills += 1) {
  const usual = await rate()
  await pause(Math.random() * LONGEST_LIFE_MS)
  const killed = kill()
  await pause(BACK.afterMs)
  await killed
  shares.push((await rate()) / usual)
}
stop.abort()
await Promise.all(clients)
for (const model of models) {
  const answer = await fetch(`${url}/v1/models/${model}`)
  /** @type {{ state: string }} */
  const { state } = /** @type {{ state: string }} */ (await answer.json())
  // A model without a request since the last kill is not loaded.
  if (state === 'failed') wrong.push(`${model} ended in state ${state}`)
}
shares.sort((a, b) => a - b)
const middle = shares[Math.floor(shares.length / 2)] ?? 1
if (middle < BACK.share) wrong.push(`the rate recovered only to ${middle.toFixed(2)}`)
await service.close()
await rm(folder, { recursive: true })

console.log(
  `${machine()}: ${String(KILLS)} kills, ${String(answered)} responses, ${String(wrong.length)} lost or wrong`,
)
if (WATCHED > 0)
  console.log(
    `rate within 5 s, as a share of the rate before: ${shares.map((share) => share.toFixed(2)).join(', ')}`,
  )
for (const line of new Set(wrong)) console.log(line)
process.exitCode = wrong.length === 0 ? 0 : 1
