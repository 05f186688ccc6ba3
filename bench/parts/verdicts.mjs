import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { progress, runPart, table } from '../lib/part.mjs'
import { runPython } from '../lib/peers.mjs'
import { startService } from '../lib/service.mjs'

/**
 * Error rate of `POST /v1/weights/statistics`: verdicts on state dicts of eight libraries, as drawn and after
 * training, pruning, rounding and averaging, against the truth of each tensor. RESINIT_PYTHON has
 * bench/python/requirements-verdicts.txt; RESINIT_TORCH_PYTHON has Debian's torch and
 * bench/python/requirements-verdicts-torch.txt. RESINIT_STATE_DICTS names a folder that keeps the state
 * dicts for the next run: they take half an hour and 1.7 GB.
 */

const MAKERS = [
  { variable: 'RESINIT_PYTHON', scripts: ['keras_dicts', 'jax_dicts'] },
  { variable: 'RESINIT_TORCH_PYTHON', scripts: ['torch_dicts'] },
]
const VERDICTS = ['fresh', 'constant', 'undecided', 'trained']
const TRUTHS = ['fresh', 'altered', 'moved']

await runPart('verdicts', { rounds: 1 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'resinit-bench-'))
  const dicts = process.env['RESINIT_STATE_DICTS'] ?? join(folder, 'dicts')
  const service = await startService(join(folder, 'data'), { MAX_BODY_BYTES: String(2 ** 30) })
  try {
    for (const { variable, scripts } of MAKERS) {
      const python = process.env[variable]
      if (!python)
        throw new Error(
          `set ${variable} to a Python with the requirements that bench/parts/verdicts.mjs lists`,
        )
      for (const script of scripts) await runPython(python, [`test/interop/state_dicts/${script}.py`, dicts])
    }
    /** @type {Map<string, Map<string, number>>} */
    const totals = new Map()
    const rows = []
    for (const file of (await readdir(dicts)).sort()) {
      const name = file.replace('.safetensors', '')
      progress(name)
      const counts = await verdictsOn(service, await readFile(join(dicts, file)))
      rows.push([name, ...TRUTHS.map((truth) => inWords(counts.get(truth)))])
      for (const [truth, verdicts] of counts)
        for (const [verdict, count] of verdicts) add(totals, truth, verdict, count)
    }
    const sums = TRUTHS.map((truth) => [
      truth,
      ...VERDICTS.map((verdict) => String(totals.get(truth)?.get(verdict) ?? 0)),
    ])
    return [
      `${String(rows.length)} state dicts: tensors by truth and verdict.`,
      table(['', ...VERDICTS], sums),
      table(['state dict', ...TRUTHS], rows),
    ].join('\n\n')
  } finally {
    await service.stop()
    await rm(folder, { recursive: true })
  }
})

/**
 * Verdicts by truth.
 * @param {import('../lib/service.mjs').Service} service
 * @param {Buffer} file
 */
async function verdictsOn({ url }, file) {
  const header = /** @type {{ __metadata__: { truths: string } }} */ (
    JSON.parse(file.subarray(8, 8 + Number(file.readBigUInt64LE())).toString())
  )
  const truths = /** @type {Record<string, string>} */ (JSON.parse(header.__metadata__.truths))
  const answer = await fetch(`${url}/v1/weights/statistics`, {
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream' },
    body: file,
  })
  if (!answer.ok) throw new Error(await answer.text())
  const { parameters } = /** @type {{ parameters: { name: string, verdict: string }[] }} */ (
    await answer.json()
  )
  /** @type {Map<string, Map<string, number>>} */
  const counts = new Map()
  for (const { name, verdict } of parameters) add(counts, truths[name] ?? 'fresh', verdict, 1)
  return counts
}

/**
 * @param {Map<string, Map<string, number>>} counts
 * @param {string} truth
 * @param {string} verdict
 * @param {number} count
 */
function add(counts, truth, verdict, count) {
  /** @type {Map<string, number>} */
  const row = counts.get(truth) ?? new Map()
  counts.set(truth, row.set(verdict, (row.get(verdict) ?? 0) + count))
}

/** @param {Map<string, number> | undefined} verdicts */
function inWords(verdicts) {
  return VERDICTS.flatMap((verdict) => {
    const count = verdicts?.get(verdict)
    return count === undefined ? [] : [`${String(count)} ${verdict}`]
  }).join(', ')
}
