import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runProof } from '../lib/part.mjs'
import { json, specification } from '../lib/requests.mjs'
import { startWithClient } from '../lib/service.mjs'

/**
 * What the service says of itself in /openapi.json, held against what it does by Schemathesis: once where nobody is asked
 * for a key, once where everybody is. proof/schemathesis.toml says which checks, and why not all everywhere.
 */
const EXAMPLES = 20
/** Below half of it, without what counts the edges of every schema and takes as long however few the examples. */
const PHASES = { all: 'examples,coverage,fuzzing,stateful', few: 'examples,fuzzing' }
/** Networks of chance are built in milliseconds. */
const MAX_MODEL_PARAMETERS = '20000'
/** Where nobody is asked for a key, none is missed. */
const OPEN = '\n[checks.ignored_auth]\nenabled = false\n'

/** What of its report is read. @typedef {{ test_cases: { generated: number } }} Report */

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
    // It keeps what it found beside where it runs.
    const child = spawn(
      program,
      [
        ...['--config-file', config, 'run', `${url}/openapi.json`, '--no-color'],
        ...['--max-examples', String(Math.ceil(EXAMPLES * share))],
        ...['--phases', share < 0.5 ? PHASES.few : PHASES.all],
        ...['--report', 'json', '--report-json-path', report],
        ...(key === undefined ? [] : ['--header', `Authorization: Bearer ${key}`]),
      ],
      // What it says is progress: the last line of stdout is the proof's own.
      { cwd: folder, stdio: ['ignore', 2, 2] },
    )
    const [code] = await once(child, 'exit')
    /** @type {Report} */
    const { test_cases } = JSON.parse(await readFile(report, 'utf8'))
    const failures =
      code === 0 ? [] : [`Schemathesis ended with ${String(code)}; what it found is told above`]
    return { count: test_cases.generated, failures }
  } finally {
    await service.stop()
    await rm(folder, { recursive: true, force: true })
  }
}
