import { parseArgs } from 'node:util'

/**
 * Results of a proof. `failures` are sentences, one per violation, printed to stderr. `found` are further
 * figures.
 * @typedef {{ count: number, failures: readonly string[], found?: Readonly<Record<string, unknown>> }} Proof
 */

/** Number of failures that are printed. */
const MAX_PRINTED = 40

/** The share of the full counts: `--share 0.1` is a tenth. */
function share() {
  const { values } = parseArgs({ options: { share: { type: 'string', default: '1' } } })
  const value = Number(values.share)
  if (!(value > 0 && value <= 1)) throw new Error('--share must be above 0 and at most 1')
  return value
}

/** A count, scaled by the share. @param {number} full */
export const shareOf = (full) => Math.max(1, Math.round(full * share()))

/**
 * Prints the results as JSON on the last line. The exit status is 0 without failures.
 * @param {string} name The script without its ending.
 * @param {Proof} proof
 */
export function report(name, { count, failures, found }) {
  for (const failure of failures.slice(0, MAX_PRINTED)) progress(failure)
  if (failures.length > MAX_PRINTED) progress(`and ${String(failures.length - MAX_PRINTED)} more`)
  console.log(JSON.stringify({ name, count, failed: failures.length, ...found }))
  process.exitCode = failures.length === 0 ? 0 : 1
}

/**
 * Runs one proof from its command line.
 * @param {string} name
 * @param {(share: number) => Promise<Proof>} prove
 */
export async function runProof(name, prove) {
  // Exit handlers stop the servers; without these handlers a signal would skip them.
  process.once('SIGINT', () => process.exit(130))
  process.once('SIGTERM', () => process.exit(143))
  report(name, await prove(share()))
}

/**
 * Prints progress to stderr; results go to stdout.
 * @param {string} text
 */
export function progress(text) {
  process.stderr.write(`proof: ${text}\n`)
}
