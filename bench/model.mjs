import { spawn } from 'node:child_process'
import { once } from 'node:events'
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
/** @type {typeof import('../src/network/plan.ts')} */
const { planRequest } = await built('network/plan')

const engine = startEngine(pino({ level: 'silent' }), () => undefined)
const peer = spawn(process.env['RESINIT_PYTHON'] ?? 'python3', ['bench/onnxruntime_peer.py'], {
  stdio: ['pipe', 'pipe', 'inherit'],
})
const lines = createInterface({ input: peer.stdout })[Symbol.asyncIterator]()

/**
 * @param {number} batch
 * @param {number} repeats
 * @returns {Promise<number[]>}
 */
async function runPeer(batch, repeats) {
  peer.stdin.write(`${JSON.stringify({ op: 'run', batch, repeats })}\n`)
  const { value, done } = await lines.next()
  if (done) throw new Error('the peer ended; does RESINIT_PYTHON have test/golden/requirements.txt?')
  /** @type {{ ms: number[] }} */
  const { ms } = JSON.parse(value)
  return ms
}

/**
 * @param {number} batch
 * @param {number} repeats
 * @returns {Promise<number[]>}
 */
async function runOurs(batch, repeats) {
  const values = new Uint8Array(batch * PIXELS).map((_, index) => (index * 7919) % 251)
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
  const { specification } = planRequest({ architecture: 'resnet50' }, Number.MAX_SAFE_INTEGER)
  await engine.build({ id: 'resnet50', specification })
  console.log(machine())
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
  await once(peer, 'exit')
}
