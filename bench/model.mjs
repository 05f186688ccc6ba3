import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pino } from 'pino'
import { machine } from './machine.mjs'

/**
 * The model alone, without HTTP: our engine process and onnxruntime on the same ResNet-50, in turns in one run. Prints
 * milliseconds per image (the least of all rounds) and the ratio. RESINIT_PYTHON is a Python with
 * test/golden/requirements.txt.
 */
const PIXELS = 224 * 224 * 3
const ROUNDS = 5
/** Batch size -> runs per round. */
const BATCHES = new Map([
  [1, 8],
  [8, 2],
  [32, 1],
])

// What `npm run build` left, with the types of its source: so the check needs no build.
const built = (/** @type {string} */ name) => import(new URL(`../dist/${name}.js`, import.meta.url).href)
/** @type {typeof import('../src/engine/process.ts')} */
const { startEngine } = await built('engine/process')
/** @type {typeof import('../src/analysis/process.ts')} */
const { startAnalysis } = await built('analysis/process')
/** @type {typeof import('../src/formats/safetensors.ts')} */
const { safetensorsHeader } = await built('formats/safetensors')
/** @type {typeof import('../src/network/plan.ts')} */
const { planRequest } = await built('network/plan')

const request = { architecture: 'resnet50', initializers: { kernel: 'he_normal' } }
const { specification, parameters } = planRequest(request, Number.MAX_SAFE_INTEGER)
const folder = await mkdtemp(join(tmpdir(), 'resinit-bench-'))
const weightsFile = join(folder, 'weights.safetensors')
await writeWeights()
const engine = startEngine({ logger: pino({ level: 'silent' }), onLost: () => undefined })
const peer = spawn(
  process.env['RESINIT_PYTHON'] ?? 'python3',
  ['bench/onnxruntime_peer.py', weightsFile, '--threads', String(cpus().length)],
  { stdio: ['pipe', 'pipe', 'inherit'] },
)
const exited = once(peer, 'exit')
// Where it ended early, its own words and the sentence below say why.
peer.stdin.on('error', () => undefined)
const lines = createInterface({ input: peer.stdout })[Symbol.asyncIterator]()

/** The weights both will have, in the service's own names. */
async function writeWeights() {
  const analysis = startAnalysis(pino({ level: 'silent' }))
  try {
    await writeFile(weightsFile, safetensorsHeader(parameters, {}))
    for (const { name, shape } of parameters) {
      const size = shape.reduce((product, length) => product * length, 1)
      const { buffer, byteOffset, byteLength } = await analysis.read({ specification }, name, 0, size)
      await appendFile(weightsFile, Buffer.from(buffer, byteOffset, byteLength))
    }
  } finally {
    await analysis.close()
  }
}

/**
 * @param {object} question
 * @returns {Promise<unknown>}
 */
async function askPeer(question) {
  peer.stdin.write(`${JSON.stringify(question)}\n`)
  const { value, done } = await lines.next()
  if (done) throw new Error('the peer ended; does RESINIT_PYTHON have test/golden/requirements.txt?')
  /** @type {{ error?: string }} */
  const answer = JSON.parse(value)
  if (answer.error !== undefined) throw new Error(answer.error)
  return answer
}

/** The largest difference of the two networks' logits for the same pixels, as a share of the largest logit. */
async function difference() {
  const file = join(folder, 'pixels')
  const values = pixelsOf(8)
  await writeFile(file, values)
  const { logits: ours } = await engine.predict({ id: 'resnet50', count: 8, values, k: 1, features: false })
  const { logits } = /** @type {{ logits: string }} */ (await askPeer({ op: 'logits', pixels_path: file }))
  const theirs = new Float32Array(Uint8Array.from(Buffer.from(logits, 'base64')).buffer)
  if (theirs.length !== ours.length) throw new Error('the peer answers another number of logits')
  const largest = (/** @type {Float32Array} */ some) =>
    some.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  return largest(ours.map((value, index) => value - (theirs[index] ?? NaN))) / largest(ours)
}

/** @param {number} batch */
function pixelsOf(batch) {
  return new Uint8Array(batch * PIXELS).map((_, index) => (index * 7919) % 251)
}

/**
 * @param {number} batch
 * @param {number} repeats
 * @returns {Promise<number[]>}
 */
async function runPeer(batch, repeats) {
  const { ms } = /** @type {{ ms: number[] }} */ (await askPeer({ op: 'run', batch, repeats }))
  return ms
}

/**
 * @param {number} batch
 * @param {number} repeats
 * @returns {Promise<number[]>}
 */
async function runOurs(batch, repeats) {
  const values = pixelsOf(batch)
  const times = []
  for (let run = 0; run < repeats; run++) {
    const { computeMs } = await engine.predict({
      id: 'resnet50',
      count: batch,
      values,
      k: 5,
      features: false,
    })
    times.push(computeMs)
  }
  return times
}

try {
  await engine.build({ id: 'resnet50', specification })
  const share = await difference()
  if (!(share < 1e-4)) throw new Error(`these are not the same network: logits differ by ${String(share)}`)
  console.log(machine())
  console.log(`the same network in both: logits differ by ${share.toExponential(1)} of the largest`)
  console.log('batch   resinit  onnxruntime   ratio   (ms per image, least of all rounds)')
  for (const [batch, repeats] of BATCHES) {
    // The first run of a shape prepares it.
    await runOurs(batch, 1)
    await runPeer(batch, 1)
    let [ours, theirs] = [Infinity, Infinity]
    for (let round = 0; round < ROUNDS; round++) {
      ours = Math.min(ours, ...(await runOurs(batch, repeats)))
      theirs = Math.min(theirs, ...(await runPeer(batch, repeats)))
    }
    const columns = [ours / batch, theirs / batch].map((ms) => ms.toFixed(1).padStart(9))
    console.log(
      `${String(batch).padStart(5)} ${columns.join('   ')}   ${(ours / theirs).toFixed(2).padStart(8)}`,
    )
  }
} finally {
  await engine.close()
  peer.stdin.end()
  await exited
  await rm(folder, { recursive: true })
}
