import { parseArgs } from 'node:util'

/**
 * What a proof found. `failures` are sentences, one for each thing that is not as it should be; they are told apart from
 * the results. `found` are numbers worth keeping.
 * @typedef {{ count: number, failures: readonly string[], found?: Readonly<Record<string, unknown>> }} Proof
 */

/** How many failures are told in full. */
const TOLD = 40

/** How much of the full counts is asked for: `--share 0.1` is a tenth. */
function share() {
  const { values } = parseArgs({ options: { share: { type: 'string', default: '1' } } })
  const asked = Number(values.share)
  if (!(asked > 0 && asked <= 1)) throw new Error('--share is above 0 and at most 1')
  return asked
}

/** That much of one count. @param {number} full */
export const shareOf = (full) => Math.max(1, Math.round(full * share()))

/**
 * Tells what was found, as JSON on the last line; the exit status is 0 where nothing failed.
 * @param {string} name The script without its ending.
 * @param {Proof} proof
 */
export function report(name, { count, failures, found }) {
  for (const failure of failures.slice(0, TOLD)) progress(failure)
  if (failures.length > TOLD) progress(`and ${String(failures.length - TOLD)} more`)
  console.log(JSON.stringify({ name, count, failed: failures.length, ...found }))
  process.exitCode = failures.length === 0 ? 0 : 1
}

/**
 * Runs one proof from its command line.
 * @param {string} name
 * @param {(share: number) => Promise<Proof>} prove
 */
export async function runProof(name, prove) {
  // Exit handlers stop the servers; without these a signal would skip them.
  process.once('SIGINT', () => process.exit(130))
  process.once('SIGTERM', () => process.exit(143))
  report(name, await prove(share()))
}

/**
 * Says what is going on, apart from the results.
 * @param {string} text
 */
export function progress(text) {
  process.stderr.write(`proof: ${text}\n`)
}
