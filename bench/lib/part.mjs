import { parseArgs } from 'node:util'
import { machine } from './machine.mjs'
import { record } from './results.mjs'

/**
 * Options of a part. `only` lists contestants; undefined means all.
 * @typedef {{ rounds: number, seconds: number, only: string[] | undefined, record: boolean }} Options
 */

const USAGE = '[--rounds N] [--seconds N] [--only NAME,...] [--record]'

/**
 * Runs one part of the bench from its command line and prints its results. With --record it stores them in
 * docs/performance.md.
 * @param {string} name The script without its ending, and the section's title.
 * @param {{ rounds: number, seconds?: number }} defaults
 * @param {(options: Options) => Promise<string>} measure Returns markdown.
 */
export async function runPart(name, defaults, measure) {
  // Exit handlers stop the servers; without these handlers a signal would skip them.
  process.once('SIGINT', () => process.exit(130))
  process.once('SIGTERM', () => process.exit(143))
  const options = readOptions(name, defaults)
  const command = ['node', `bench/parts/${name}.mjs`, ...process.argv.slice(2)].join(' ')
  const found = `${machine()}: \`${command}\`\n\n${await measure(options)}`
  console.log(`\n${found}`)
  if (options.record) await record(name, found)
}

/**
 * @param {string} name
 * @param {{ rounds: number, seconds?: number }} defaults
 * @returns {Options}
 */
function readOptions(name, { rounds, seconds = 0 }) {
  /** @type {(text: string | undefined, otherwise: number) => number} */
  const number = (text, otherwise) => {
    const value = text === undefined ? otherwise : Number(text)
    if (!(value >= 0)) throw new Error(`node bench/parts/${name}.mjs ${USAGE}`)
    return value
  }
  const text = /** @type {const} */ ({ type: 'string' })
  const { values } = parseArgs({
    options: { rounds: text, seconds: text, only: text, record: { type: 'boolean', default: false } },
  })
  return {
    rounds: number(values.rounds, rounds),
    seconds: number(values.seconds, seconds),
    only: values.only?.split(','),
    record: values.record,
  }
}

/**
 * @param {readonly string[]} head
 * @param {readonly (readonly string[])[]} rows
 */
export function table(head, rows) {
  const numbers = head.map((_, column) => (column === 0 ? '---' : '---:'))
  return [head, numbers, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/**
 * Prints progress to stderr; results go to stdout.
 * @param {string} text
 */
export function progress(text) {
  process.stderr.write(`bench: ${text}\n`)
}
