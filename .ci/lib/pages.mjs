// The blocks of a page that the tour runs, and the comparison of printed and expected output.
import { lexer } from 'marked'

/**
 * @typedef {object} Block
 * @property {'sh' | 'python'} language
 * @property {string} text
 * @property {number} line its line in the page
 * @property {string | undefined} expected its output
 * @property {unknown} expectedJson a part of its output, which is JSON; undefined if the page shows none
 * @property {string | undefined} exempt the reason why the tour does not run it, or the file that runs it
 * @property {boolean} restart whether the service restarts before it
 * @property {string} python the variable that names its interpreter
 * @property {{name: string, path: string} | undefined} writes
 */

/** Languages of blocks that are not run. */
const UNRUN = ['json', 'yaml', 'mermaid', '']

/** The commands of a page, in order. @param {string} page @returns {Block[]} */
export function readBlocks(page) {
  /** @type {Block[]} */
  const blocks = []
  let marks = ''
  let line = 1
  /** @type {Block | undefined} */
  let previous
  for (const token of lexer(page)) {
    const here = line
    line += token.raw.split('\n').length - 1
    if (token.type === 'space') continue
    if (token.type === 'html') {
      marks += token.raw
      continue
    }
    const command = previous
    previous = undefined
    if (token.type === 'code') {
      const { lang, text } = /** @type {import('marked').Tokens.Code} */ (token)
      if (lang === 'text' && command) command.expected = text
      else if (lang === 'json' && command) command.expectedJson = JSON.parse(text)
      else if (lang === 'sh' || lang === 'python')
        blocks.push((previous = createBlock(lang, text, here, marks)))
      else if (!UNRUN.includes(lang ?? ''))
        throw new Error(`line ${String(here)}: a block of ${lang ?? 'no language'} cannot be run`)
    }
    marks = ''
  }
  return blocks
}

/** @param {'sh' | 'python'} language @param {string} text @param {number} line @param {string} marks @returns {Block} */
function createBlock(language, text, line, marks) {
  const writes = /<!-- writes (\S+): (\S+) -->/.exec(marks)
  return {
    language,
    text,
    line,
    expected: undefined,
    expectedJson: undefined,
    exempt: /<!-- (run by \S+|not run: .+?) -->/.exec(marks)?.[1],
    restart: marks.includes('<!-- restart -->'),
    python: /<!-- python: (\w+) -->/.exec(marks)?.[1] ?? 'RESINIT_PYTHON',
    writes: writes ? { name: writes[1] ?? '', path: writes[2] ?? '' } : undefined,
  }
}

/** Numbers with a decimal point: their last digits differ between processors. */
const DECIMAL = /(-?\d+\.\d+(?:e[+-]?\d+)?)/
const TOLERANCE = 0.01

/** Compares text literally, except decimals, which may differ by 1 %. @param {string} given @param {string} wanted */
export function isSame(given, wanted) {
  const [a, b] = [given, wanted].map((text) => text.trimEnd().split(DECIMAL))
  if (a?.length !== b?.length) return false
  return (a ?? []).every((part, index) => {
    const other = b?.[index] ?? ''
    return index % 2 === 0 ? part === other : isClose(Number(part), Number(other))
  })
}

/**
 * Whether JSON has every shown field. It may have more fields; lists have the same length. Fractions may differ by 1 %.
 * @param {unknown} given @param {unknown} shown @returns {boolean}
 */
export function containsJson(given, shown) {
  if (typeof given === 'number' && typeof shown === 'number')
    return Number.isInteger(shown) ? given === shown : isClose(given, shown)
  if (typeof given !== 'object' || typeof shown !== 'object' || given === null || shown === null)
    return given === shown
  if (Array.isArray(shown) && !(Array.isArray(given) && given.length === shown.length)) return false
  return Object.entries(shown).every(([name, value]) =>
    containsJson(/** @type {Record<string, unknown>} */ (given)[name], value),
  )
}

/** @param {number} given @param {number} wanted */
function isClose(given, wanted) {
  return Math.abs(given - wanted) <= TOLERANCE * Math.abs(wanted)
}
