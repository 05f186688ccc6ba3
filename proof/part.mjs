import { parseArgs } from 'node:util'

/**
 * What a proof found. `failures` are sentences, one for each thing that is not as it should be; they are told apart from
 * the results. `found` are numbers worth keeping.
 * @typedef {{ count: number, failures: readonly string[], found?: Readonly<Record<string, unknown>> }} Proof
 */

/** How many failures are told in full. */
const TOLD = 40

/**
 * Runs one proof from its command line, `--share 0.1` for a tenth of its counts. The last line it prints is what it
 * found as JSON, its exit status 0 where nothing failed.
 * @param {string} name The script without its ending.
 * @param {(share: number) => Promise<Proof>} prove
 */
export async function runProof(name, prove) {
  // Exit handlers stop the servers; without these a signal would skip them.
  process.once('SIGINT', () => process.exit(130))
  process.once('SIGTERM', () => process.exit(143))
  const { values } = parseArgs({ options: { share: { type: 'string', default: '1' } } })
  const share = Number(values.share)
  if (!(share > 0 && share <= 1)) throw new Error(`node proof/${name}.mjs [--share 0.1]`)
  const { count, failures, found } = await prove(share)
  for (const failure of failures.slice(0, TOLD)) progress(failure)
  if (failures.length > TOLD) progress(`and ${String(failures.length - TOLD)} more`)
  console.log(JSON.stringify({ name, count, failed: failures.length, ...found }))
  process.exitCode = failures.length === 0 ? 0 : 1
}

/**
 * Says what is going on, apart from the results.
 * @param {string} text
 */
export function progress(text) {
  process.stderr.write(`proof: ${text}\n`)
}
