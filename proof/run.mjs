import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { format, resolveConfig } from 'prettier'
import { machine } from '../bench/lib/machine.mjs'
import manifest from '../package.json' with { type: 'json' }

/** Runs all proofs one after another, each in its own process. A failed proof does not stop the others. */
const PROOFS = [
  'schemathesis',
  'fuzz',
  'hostile',
  'images',
  'cases',
  'replicas',
  'sigterm',
  'killed-service',
  'endurance',
]
const REPORT = 'proof/REPORT.md'

const { values } = parseArgs({
  options: { share: { type: 'string', default: '1' }, record: { type: 'boolean', default: false } },
})
/** @type {{ name: string, count: number, failed: number, minutes: number, found: string }[]} */
const rows = []
for (const name of PROOFS) rows.push(await run(name))
if (values.record) await report()
for (const { name, count, failed } of rows)
  console.log(`${name}: ${String(count)} counted, ${String(failed)} failed`)
process.exitCode = rows.some(({ failed }) => failed > 0) ? 1 : 0

/** @param {string} name */
async function run(name) {
  const started = Date.now()
  const child = spawn(process.execPath, [`proof/parts/${name}.mjs`, '--share', values.share], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exit = once(child, 'exit')
  let last = ''
  for await (const line of createInterface({ input: child.stdout })) last = line
  const [code] = await exit
  const minutes = (Date.now() - started) / 60_000
  // A proof without a result line has failed.
  if (!last.startsWith('{')) return { name, count: 0, failed: 1, minutes, found: 'ended without a result' }
  /** @type {{ name: string, count: number, failed: number }} */
  const { name: _, count, failed, ...found } = JSON.parse(last)
  return {
    name,
    count,
    failed: code === 0 ? failed : Math.max(1, failed),
    minutes,
    found: JSON.stringify(found),
  }
}

async function report() {
  const lines = rows.map(
    ({ name, count, failed, minutes, found }) =>
      `| ${name} | ${String(count)} | ${String(failed)} | ${minutes.toFixed(1)} | \`${found}\` |`,
  )
  const text = `# Proof

${machine()}; resinit ${manifest.version}, Node ${process.versions.node}: \`npm run proof -- --share ${values.share}\`

| script | counted | failed | minutes | found |
| --- | ---: | ---: | ---: | --- |
${lines.join('\n')}
`
  const config = await resolveConfig(REPORT)
  await writeFile(REPORT, await format(text, { ...config, parser: 'markdown' }))
}
