import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pino } from 'pino'
import { machine } from './machine.mjs'

/**
 * Statistics of the 54 kernels of ResNet-50: the analysis process, which draws them or reads them from a file, and numpy,
 * which has them in memory, in turns in one run. Prints milliseconds (the least of all rounds) and ratios. RESINIT_PYTHON
 * is a Python with test/golden/requirements.txt.
 */
const ROUNDS = 5

// What `npm run build` left, with the types of its source: so the check needs no build.
const built = (/** @type {string} */ name) => import(new URL(`../dist/${name}.js`, import.meta.url).href)
/** @type {typeof import('../src/analysis/process.ts')} */
const { startAnalysis } = await built('analysis/process')
/** @type {typeof import('../src/formats/safetensors.ts')} */
const { safetensorsHeader } = await built('formats/safetensors')
/** @type {typeof import('../src/network/plan.ts')} */
const { planRequest } = await built('network/plan')

const request = { architecture: 'resnet50', initializers: { kernel: 'he_normal' } }
const { specification, parameters } = planRequest(request, Number.MAX_SAFE_INTEGER)
const plain = { histogram: false, quantiles: false, spectrum: false, operatorSpectrum: false, bins: 64 }
const WORKS = /** @type {const} */ ({
  moments: { ...plain, histogram: true, quantiles: true },
  spectra: { ...plain, spectrum: true },
})

const folder = await mkdtemp(join(tmpdir(), 'resinit-bench-'))
const weightsFile = join(folder, 'weights.safetensors')
const analysis = startAnalysis({ logger: pino({ level: 'silent' }), maxQueue: 1 })
try {
  await writeFile(weightsFile, safetensorsHeader(parameters, {}))
  const read = await analysis.reader({ specification })
  for (const { name, shape } of parameters) {
    const size = shape.reduce((product, length) => product * length, 1)
    const { buffer, byteOffset, byteLength } = await read(name, 0, size)
    await appendFile(weightsFile, Buffer.from(buffer, byteOffset, byteLength))
  }
  await compare()
} finally {
  await analysis.close()
  await rm(folder, { recursive: true })
}

async function compare() {
  const python = process.env['RESINIT_PYTHON'] ?? 'python3'
  // The analysis runs at low priority, so its peer does.
  const niced = ['-n', '19', python, 'bench/statistics_peer.py', weightsFile]
  const peer = spawn('nice', niced, { stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = once(peer, 'exit')
  // Where it ended early, its own words and the sentence below say why.
  peer.stdin.on('error', () => undefined)
  const lines = createInterface({ input: peer.stdout })[Symbol.asyncIterator]()

  /** @param {string} op */
  const numpy = async (op) => {
    peer.stdin.write(`${JSON.stringify({ op })}\n`)
    const { value, done } = await lines.next()
    if (done) throw new Error('the peer ended; does RESINIT_PYTHON have test/golden/requirements.txt?')
    /** @type {{ ms: number }} */
    const { ms } = JSON.parse(value)
    return ms
  }
  /**
   * @param {keyof typeof WORKS} op
   * @param {{ weightsFile?: string }} source
   */
  const ours = async (op, source) => {
    const started = performance.now()
    await analysis.statistics({ specification, ...source }, { ...WORKS[op], match: '**/kernel' })
    return performance.now() - started
  }

  console.log(machine())
  console.log(`${'54 kernels of ResNet-50, ms'.padEnd(52)}   drawn  from file   numpy  ratio, drawn`)
  for (const op of /** @type {(keyof typeof WORKS)[]} */ (Object.keys(WORKS))) {
    /** @type {number[][]} */
    const rounds = []
    // The first of each is cold, and counts as it is where it is the least.
    for (let round = 0; round < ROUNDS; round++) {
      rounds.push([await ours(op, {}), await ours(op, { weightsFile }), await numpy(op)])
    }
    const least = [0, 1, 2].map((index) => Math.min(...rounds.map((times) => times[index] ?? Infinity)))
    const [drawn = 0, , peerMs = 1] = least
    const columns = least.map((ms) => ms.toFixed(0).padStart(9)).join('')
    const what = {
      moments: 'moments, KS, digest, histogram, quantiles',
      spectra: 'the same without these two, spectrum',
    }[op]
    console.log(`${what.padEnd(52)}${columns}${(drawn / peerMs).toFixed(2).padStart(9)}`)
  }
  peer.stdin.end()
  await exited
}
