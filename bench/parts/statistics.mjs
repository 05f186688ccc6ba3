import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { runPart, table } from '../lib/part.mjs'
import { environment, startPeer } from '../lib/peers.mjs'
import { spread } from '../lib/rounds.mjs'

/**
 * Statistics of the 54 kernels of ResNet-50, alternating in one run: the analysis process, which draws them
 * or reads them from a file, and numpy, which holds them in memory.
 */

// Compiled modules with the types of their sources, so that type checks need no build.
const built = (/** @type {string} */ name) => import(new URL(`../../dist/${name}.js`, import.meta.url).href)
/** @type {typeof import('../../src/analysis/client/analysis-process.ts')} */
const { startAnalysis } = await built('analysis/client/analysis-process')
/** @type {typeof import('../../src/formats/safetensors.ts')} */
const { safetensorsHeader } = await built('formats/safetensors')
/** @type {typeof import('../../src/network/plan.ts')} */
const { planRequest } = await built('network/plan')

const request = { architecture: 'resnet50', initializers: { kernel: 'he_normal' } }
const { specification, parameters } = planRequest(request, Number.MAX_SAFE_INTEGER)
const plain = { histogram: false, quantiles: false, spectrum: false, operatorSpectrum: false, bins: 64 }
const WORKS = {
  moments: {
    title: 'moments, KS, digest, histogram, quantiles',
    options: { ...plain, histogram: true, quantiles: true },
  },
  spectra: { title: 'the same without these two, spectrum', options: { ...plain, spectrum: true } },
}

await runPart('statistics', { rounds: 5 }, async ({ rounds }) => {
  const folder = await mkdtemp(join(tmpdir(), 'resinit-bench-'))
  const weightsFile = join(folder, 'weights.safetensors')
  const analysis = startAnalysis({ logger: pino({ level: 'silent' }), maxQueue: 1 })
  /** @type {{ close: () => Promise<void> }[]} */
  const open = [analysis]
  try {
    await writeWeights(analysis, weightsFile)
    const numpy = startPeer(environment('keras').python, ['bench/python/statistics_peer.py', weightsFile])
    open.push(numpy)
    const rows = []
    for (const [op, { title, options }] of Object.entries(WORKS)) {
      /** @param {{ weightsFile?: string }} source */
      const ours = async (source) => {
        const started = performance.now()
        await analysis.statistics({ specification, ...source }, { ...options, match: '**/kernel' })
        return performance.now() - started
      }
      const round = async () => [
        await ours({}),
        await ours({ weightsFile }),
        /** @type {{ ms: number }} */ (await numpy.ask({ op })).ms,
      ]
      // Warm-up.
      await round()
      /** @type {number[][]} */
      const times = []
      for (let turn = 0; turn < rounds; turn++) times.push(await round())
      const columns = [0, 1, 2].map((index) => times.map((all) => all[index] ?? NaN))
      const ratios = times.map(([drawn = NaN, , theirs = NaN]) => drawn / theirs)
      rows.push([title, ...columns.map((all) => spread(all, 0)), spread(ratios, 2)])
    }
    return table(['54 kernels of ResNet-50, ms', 'drawn', 'from a file', 'numpy', 'drawn over numpy'], rows)
  } finally {
    await Promise.all(open.map((some) => some.close()))
    await rm(folder, { recursive: true })
  }
})

/**
 * Writes the weights that both measure.
 * @param {import('../../src/analysis/contract.ts').Analysis} analysis
 * @param {string} weightsFile
 */
async function writeWeights(analysis, weightsFile) {
  await writeFile(weightsFile, safetensorsHeader(parameters, {}))
  const read = await analysis.reader({ specification })
  for (const { name, shape } of parameters) {
    const size = shape.reduce((product, length) => product * length, 1)
    const { buffer, byteOffset, byteLength } = await read(name, 0, size)
    await appendFile(weightsFile, Buffer.from(buffer, byteOffset, byteLength))
  }
}
