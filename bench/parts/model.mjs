import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { prepareNetwork } from '../lib/networks.mjs'
import { runPart, table } from '../lib/part.mjs'
import { environment, startPeer } from '../lib/peers.mjs'
import { spread } from '../lib/rounds.mjs'

/**
 * The model without HTTP: our engine process, onnxruntime and OpenVINO on the same ResNet-50, alternating in
 * one run. The time of a round is its fastest run, which excludes other load on the machine.
 */
const PIXELS = 224 * 224 * 3
/** Batch size -> runs per round. */
const BATCHES = new Map([
  [1, 8],
  [8, 2],
  [32, 1],
])
/** Share of the largest logit: sums in another order, and numbers of eight bits. */
const TOLERANCES = { float32: 1e-4, bfloat16: 0.05 }

/** @typedef {keyof typeof TOLERANCES} Precision */
/**
 * The network in one runtime: milliseconds of runs on one batch, and the logits of pixels.
 * @typedef {object} Runtime
 * @property {string} name
 * @property {Precision} precision
 * @property {(batch: number, repeats: number) => Promise<number[]>} run
 * @property {(pixels: Uint8Array) => Promise<Float32Array>} logits
 */

// Compiled modules with the types of their sources, so that type checks need no build.
const built = (/** @type {string} */ name) => import(new URL(`../../dist/${name}.js`, import.meta.url).href)
/** @type {typeof import('../../src/engine/contract.ts')} */
const { outputOf } = await built('engine/contract')
/** @type {typeof import('../../src/engine/client/engine-process.ts')} */
const { startEngine } = await built('engine/client/engine-process')
/** @type {typeof import('../../src/network/plan.ts')} */
const { planRequest } = await built('network/plan')

await runPart('model', { rounds: 5 }, async ({ rounds, only }) => {
  const folder = await mkdtemp(join(tmpdir(), 'resinit-bench-'))
  /** @type {{ close: () => Promise<void> }[]} */
  const open = []
  try {
    const network = await prepareNetwork('resnet50', folder)
    const engine = startEngine({
      logger: pino({ level: 'silent' }),
      onLost: () => undefined,
      timeoutMs: 600_000,
    })
    open.push(engine)
    const peer = startPeer(environment('model').python, [
      ...['bench/python/model_peer.py', network.weights],
      ...['--threads', String(cpus().length)],
    ])
    open.push(peer)
    const precisions = /** @type {Precision[]} */ (
      network.offersBfloat16 ? ['float32', 'bfloat16'] : ['float32']
    )
    const runtimes = [
      ...(await Promise.all(precisions.map((precision) => ours(engine, network.specification, precision)))),
      ...(await theirs(peer, folder)),
    ].filter(({ name }) => only?.includes(name) ?? true)
    const agreement = await compareLogits(runtimes)
    const rows = []
    for (const [batch, repeats] of BATCHES) rows.push(...(await race(runtimes, batch, repeats, rounds)))
    const head = ['batch', 'runtime', 'ms per image', 'over resinit']
    const absent = network.offersBfloat16
      ? ''
      : '\n\nThis processor has no resinit bfloat16: peers in bfloat16 are compared with float32.'
    return `${agreement}\n\n${table(head, rows)}${absent}`
  } finally {
    await Promise.all(open.map((some) => some.close()))
    await rm(folder, { recursive: true })
  }
})

/**
 * @param {import('../../src/engine/contract.ts').Engine} engine
 * @param {object} request
 * @param {Precision} precision
 * @returns {Promise<Runtime>}
 */
async function ours(engine, request, precision) {
  /** @type {import('../../src/network/specification.ts').SpecificationRequest} */
  const whole = JSON.parse(JSON.stringify({ ...request, ...(precision === 'bfloat16' && { precision }) }))
  const { specification } = planRequest(whole, Number.MAX_SAFE_INTEGER)
  await engine.build({ id: precision, specification })
  /** @param {Uint8Array} values */
  const predict = (values) =>
    engine.predict({ id: precision, count: values.length / PIXELS, values, k: 5, vectors: ['logits'] })
  return {
    name: `resinit ${precision}`,
    precision,
    run: async (batch, repeats) => {
      const values = pixelsOf(batch)
      const times = []
      for (let run = 0; run < repeats; run++) times.push((await predict(values)).computeMs)
      return times
    },
    logits: async (pixels) => outputOf(await predict(pixels), 'logits'),
  }
}

/**
 * @param {ReturnType<typeof startPeer>} peer
 * @param {string} folder
 * @returns {Promise<Runtime[]>}
 */
async function theirs(peer, folder) {
  const { runtimes } = /** @type {{ runtimes: string[] }} */ (await peer.ask({ op: 'runtimes' }))
  return runtimes.map((runtime) => ({
    name: runtime,
    precision: runtime.endsWith('bfloat16') ? 'bfloat16' : 'float32',
    run: async (batch, repeats) => {
      const { ms } = /** @type {{ ms: number[] }} */ (await peer.ask({ op: 'run', runtime, batch, repeats }))
      return ms
    },
    logits: async (pixels) => {
      const file = join(folder, 'pixels')
      await writeFile(file, pixels)
      const question = { op: 'logits', runtime, pixels_path: file }
      const { logits } = /** @type {{ logits: string }} */ (await peer.ask(question))
      return new Float32Array(Uint8Array.from(Buffer.from(logits, 'base64')).buffer)
    },
  }))
}

/**
 * Prints the difference of each runtime's logits from the first one's for the same pixels. Throws if it is
 * too large for the same network.
 * @param {Runtime[]} runtimes
 */
async function compareLogits(runtimes) {
  const pixels = pixelsOf(8)
  const largest = (/** @type {Float32Array} */ some) =>
    some.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  /** @type {Float32Array | undefined} */
  let first
  const shares = []
  for (const { name, precision, logits } of runtimes) {
    const found = await logits(pixels)
    first ??= found
    const share = largest(first.map((value, index) => value - (found[index] ?? NaN))) / largest(first)
    if (!(share < TOLERANCES[precision])) {
      throw new Error(`${name} computes another network: its logits differ by ${String(share)}`)
    }
    shares.push(`${name} ${share.toExponential(1)}`)
  }
  return `All compute the same network. Difference from the first, as a share of the largest logit: ${shares.join(', ')}.`
}

/** @param {number} batch */
function pixelsOf(batch) {
  return new Uint8Array(batch * PIXELS).map((_, index) => (index * 7919) % 251)
}

/**
 * Ratios refer to our own runtime in the same precision, or else to the first.
 * @param {Runtime[]} runtimes
 * @param {number} batch
 * @param {number} repeats
 * @param {number} rounds
 */
async function race(runtimes, batch, repeats, rounds) {
  const entries = runtimes.map((runtime) => ({ ...runtime, times: /** @type {number[]} */ ([]) }))
  // The first run of a shape prepares it.
  for (const { run } of entries) await run(batch, 1)
  for (let round = 0; round < rounds; round++) {
    for (const { run, times } of entries) times.push(Math.min(...(await run(batch, repeats))) / batch)
  }
  return entries.map(({ name, precision, times }) => {
    const own = entries.find((entry) => entry.name === `resinit ${precision}`) ?? entries[0]
    const ratios = times.map((time, round) => time / (own?.times[round] ?? NaN))
    return [String(batch), name, spread(times, 1), spread(ratios, 2)]
  })
}
