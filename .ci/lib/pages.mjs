// What a page has to be run, and when two outputs are the same.
import { lexer } from 'marked'

/**
 * @typedef {object} Block
 * @property {'sh' | 'python'} language
 * @property {string} text
 * @property {number} line of the page
 * @property {string | undefined} expected what it prints
 * @property {string | undefined} exempt why it is not run, or what else runs it
 * @property {boolean} restart of the service, before
 * @property {string} python the variable that names it
 * @property {{name: string, path: string} | undefined} writes
 */

/** Of what languages a block shows something and does nothing. */
const UNRUN = ['json', 'yaml', '']

/** A page's commands, in their order. @param {string} page @returns {Block[]} */
export function blocksOf(page) {
  /** @type {Block[]} */
  const blocks = []
  let marks = ''
  let line = 1
  /** @type {Block | undefined} */
  let before
  for (const token of lexer(page)) {
    const here = line
    line += token.raw.split('\n').length - 1
    if (token.type === 'space') continue
    if (token.type === 'html') {
      marks += token.raw
      continue
    }
    const prompted = before
    before = undefined
    if (token.type === 'code') {
      const { lang, text } = /** @type {import('marked').Tokens.Code} */ (token)
      if (lang === 'text' && prompted) prompted.expected = text
      else if (lang === 'sh' || lang === 'python') blocks.push((before = blockOf(lang, text, here, marks)))
      else if (!UNRUN.includes(lang ?? ''))
        throw new Error(`line ${String(here)}: nobody runs a block of ${lang ?? 'no language'}`)
    }
    marks = ''
  }
  return blocks
}

/** @param {'sh' | 'python'} language @param {string} text @param {number} line @param {string} marks @returns {Block} */
function blockOf(language, text, line, marks) {
  const writes = /<!-- writes (\S+): (\S+) -->/.exec(marks)
  return {
    language,
    text,
    line,
    expected: undefined,
    exempt: /<!-- (run by \S+|not run: .+?) -->/.exec(marks)?.[1],
    restart: marks.includes('<!-- restart -->'),
    python: /<!-- python: (\w+) -->/.exec(marks)?.[1] ?? 'RESINIT_PYTHON',
    writes: writes ? { name: writes[1] ?? '', path: writes[2] ?? '' } : undefined,
  }
}

/** To the letter, but for numbers with a point, of which kinds of processors differ in the last digits. */
const DECIMAL = /(-?\d+\.\d+(?:e[+-]?\d+)?)/
const TOLERANCE = 0.01

/** @param {string} given @param {string} wanted */
export function isSame(given, wanted) {
  const [a, b] = [given, wanted].map((text) => text.trimEnd().split(DECIMAL))
  if (a?.length !== b?.length) return false
  return (a ?? []).every((part, index) => {
    const other = b?.[index] ?? ''
    if (index % 2 === 0) return part === other
    return Math.abs(Number(part) - Number(other)) <= TOLERANCE * Math.abs(Number(other))
  })
}
