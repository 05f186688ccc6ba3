import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runProof } from '../lib/part.mjs'
import { json, specification } from '../lib/requests.mjs'
import { startWithClient } from '../lib/service.mjs'

/**
 * Compares /openapi.json with the behaviour of the service by Schemathesis, once without and once with
 * required keys. proof/lib/schemathesis.toml lists the checks and the reasons for exceptions.
 */
const EXAMPLES = 20
/**
 * Below one half, without the phase that covers the edges of every schema and takes the same time for any
 * number of examples.
 */
const PHASES = { all: 'examples,coverage,fuzzing,stateful', few: 'examples,fuzzing' }
/** Random networks are built within milliseconds. */
const MAX_MODEL_PARAMETERS = '20000'
/** Without required keys, a missing key is no error. */
const OPEN = '\n[checks.ignored_auth]\nenabled = false\n'

/** The fields of its report that are read. @typedef {{ test_cases: { generated: number } }} Report */

await runProof('schemathesis', async (share) => {
  const program =
    process.env['RESINIT_SCHEMATHESIS'] ?? execFileSync('bash', ['proof/install.sh']).toString().trim()
  const open = await hold(program, share, { HOST: '127.0.0.1' }, OPEN)
  const closed = await hold(program, share, { HOST: '0.0.0.0', ALLOW_ANONYMOUS: 'false' }, '')
  const failures = [...open.failures, ...closed.failures]
  return { count: open.count + closed.count, failures, found: { open: open.count, closed: closed.count } }
})

/**
 * @param {string} program
 * @param {number} share
 * @param {Record<string, string>} settings
 * @param {string} rules Beside those of the file.
 */
async function hold(program, share, settings, rules) {
  const folder = await mkdtemp(join(tmpdir(), 'resinit-schemathesis-'))
  const service = await startWithClient(join(folder, 'data'), { ...settings, MAX_MODEL_PARAMETERS })
  try {
    const { key, client, url } = service
    for (const [seed, name] of ['net', 'other'].entries())
      await client.send(json('/v1/models', { ...specification(seed), name }))
    const [report, config] = [join(folder, 'report.json'), join(folder, 'schemathesis.toml')]
    await writeFile(config, (await readFile('proof/lib/schemathesis.toml', 'utf8')) + rules)
    // It writes its examples to the working directory.
    const child = spawn(
      program,
      [
        ...['--config-file', config, 'run', `${url}/openapi.json`, '--no-color'],
        ...['--max-examples', String(Math.ceil(EXAMPLES * share))],
        ...['--phases', share < 0.5 ? PHASES.few : PHASES.all],
        ...['--report', 'json', '--report-json-path', report],
        ...(key === undefined ? [] : ['--header', `Authorization: Bearer ${key}`]),
      ],
      // Its output is progress; the last line of stdout belongs to the proof.
      { cwd: folder, stdio: ['ignore', 2, 2] },
    )
    const [code] = await once(child, 'exit')
    /** @type {Report} */
    const { test_cases } = JSON.parse(await readFile(report, 'utf8'))
    const failures = code === 0 ? [] : [`Schemathesis ended with ${String(code)}; its output is above`]
    return { count: test_cases.generated, failures }
  } finally {
    await service.stop()
    await rm(folder, { recursive: true, force: true })
  }
}
