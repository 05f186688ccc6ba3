import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { lexer, walkTokens } from 'marked'
import { describe, expect, it } from 'vitest'
import { containsJson, isSame, readBlocks } from '../../.ci/lib/pages.mjs'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const read = (name: string): string => readFileSync(path.join(ROOT, name), 'utf8')
const pages = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'], {
  cwd: ROOT,
  encoding: 'utf8',
})
  .split('\n')
  .filter((name) => name !== '' && existsSync(path.join(ROOT, name)))

/** The targets of a page's links and pictures. */
function readLinks(page: string): string[] {
  const links: string[] = []
  void walkTokens(lexer(page), (token) => {
    if (token.type === 'link' || token.type === 'image') links.push(String(token.href))
  })
  return links
}

/** The anchors that GitHub gives to a page's headings. */
function readAnchors(page: string): string[] {
  const anchors: string[] = []
  void walkTokens(lexer(page), (token) => {
    if (token.type !== 'heading') return
    const text = String(token.text)
    const slug = text
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-')
    const before = anchors.filter((anchor) => anchor.replace(/-\d+$/, '') === slug).length
    anchors.push(before === 0 ? slug : `${slug}-${String(before)}`)
  })
  return anchors
}

/** Links within the repository without a target. */
function findBrokenLinks(name: string, page: string): string[] {
  const anchors = new Map([[name, readAnchors(page)]])
  return readLinks(page).filter((link) => {
    if (/^\w+:/.test(link)) return false
    const [file = '', anchor] = link.split('#')
    const target = file === '' ? name : path.join(path.dirname(name), file)
    if (!existsSync(path.join(ROOT, target))) return true
    if (anchor === undefined) return false
    const offered = anchors.get(target) ?? readAnchors(read(target))
    anchors.set(target, offered)
    return !offered.includes(anchor)
  })
}

describe('links', () => {
  it.each(pages)('in %s resolve', (name) => {
    expect(findBrokenLinks(name, read(name))).toEqual([])
  })

  it('are found, and broken ones are reported', () => {
    const page =
      '# A title, *here*\n[a](#a-title-here) [b](#another) ![c](docs/none.svg) [d](docs/errors.md#errors) `[e](f)`'
    expect(findBrokenLinks('README.md', page)).toEqual(['#another', 'docs/none.svg'])
  })
})

describe('files and functions', () => {
  /** Files of the repository in code spans, except patterns and placeholders. */
  const findFiles = (page: string): string[] =>
    [
      ...page.matchAll(
        /`(?:bash |node )?((?:src|test|docs|bench|proof|deploy|page|native|openapi|\.ci)\/[\w./-]+\.\w+)`/g,
      ),
    ].flatMap(([, file = '']) => (/\bNAME\b/.test(file) ? [] : file))
  /** `name` in `file`, as [name, file]. */
  const findFunctions = (page: string): [string, string][] =>
    [...page.matchAll(/`([A-Za-z.]+)`\s+in\s+`(src\/[\w./-]+\.ts)`/g)].map(([, name = '', file = '']) => [
      name.split('.').at(-1) ?? name,
      file,
    ])
  /** The changelog may name files of earlier versions; api.md is generated. */
  const written = pages.filter((name) => !['CHANGELOG.md', 'docs/api.md'].includes(name))

  it.each(written)('of %s exist', (name) => {
    const page = read(name)
    expect(findFiles(page).filter((file) => !existsSync(path.join(ROOT, file)))).toEqual([])
    const missing = findFunctions(page).filter(
      ([word, file]) => !new RegExp(`\\b${word}\\b`).test(read(file)),
    )
    expect(missing).toEqual([])
  })

  it('are found', () => {
    expect(
      findFiles('`src/main.ts`, `node bench/run.mjs`, `src/`, `dist/main.js`, `bench/parts/NAME.mjs`'),
    ).toEqual(['src/main.ts', 'bench/run.mjs'])
    expect(findFunctions('`Store.create` in `src/serving/models/store.ts`')).toEqual([
      ['create', 'src/serving/models/store.ts'],
    ])
  })
})

describe('the architecture', () => {
  it('has at most 1,500 words', () => {
    expect(read('docs/architecture.md').split(/\s+/).length).toBeLessThanOrEqual(1500)
  })

  it('links every decision from the index', () => {
    const decisions = pages.filter((name) => /^docs\/adr\/\d{4}-/.test(name))
    const index = readLinks(read('docs/adr/README.md'))
    expect(decisions.map((name) => path.basename(name))).toEqual(index)
    for (const name of decisions) {
      const headings = [...read(name).matchAll(/^## (.+)$/gm)].map(([, heading]) => heading)
      expect(
        ['Context', 'Decision', 'Evidence', 'Rejected'].filter((heading) => headings.includes(heading)),
      ).toEqual(headings)
    }
  })
})

describe('commands', () => {
  it.each(pages)('in %s are run by the tour, or name what else runs them', (name) => {
    const blocks = readBlocks(read(name))
    const fences = read(name).match(/^ *```(sh|bash|python|ts|typescript)$/gm) ?? []
    expect(blocks).toHaveLength(fences.length)
    const runners = blocks.flatMap(({ exempt }) => exempt?.match(/^run by (.*)$/)?.[1] ?? [])
    expect(runners.filter((runner) => !existsSync(path.join(ROOT, runner)))).toEqual([])
  })

  it('are parsed with their annotations', () => {
    const page = [
      '<!-- restart -->\n\n```sh\necho 1\n```\n\n```text\n1\n```',
      '<!-- not run: it takes an hour -->\n\n```python\nprint(2)\n```',
    ].join('\n\nprose\n\n')
    expect(readBlocks(page)).toMatchObject([
      { language: 'sh', text: 'echo 1', line: 3, expected: '1', restart: true },
      { language: 'python', text: 'print(2)', expected: undefined, exempt: 'not run: it takes an hour' },
    ])
    expect(() => readBlocks('```ruby\nputs 1\n```')).toThrow('line 1: a block of ruby cannot be run')
    expect(() => readBlocks('prose\n\n```text\n1\n```')).toThrow('line 3: a block of text cannot be run')
  })

  it('may be followed by a part of the JSON that they print', () => {
    const [block] = readBlocks('```sh\necho 1\n```\n\n```json\n{"a": [{"b": 1.5}]}\n```')
    expect(block?.expectedJson).toEqual({ a: [{ b: 1.5 }] })
    expect(containsJson({ a: [{ b: 1.501, c: 2 }], d: null }, block?.expectedJson)).toBe(true)
    for (const other of [{ a: [] }, { a: [{ b: 1.6 }] }, { a: { 0: { b: 1.5 } } }, null])
      expect(containsJson(other, block?.expectedJson)).toBe(false)
  })

  it('match when only the last digits of decimals differ', () => {
    expect(isSame('stable 2.004, 8 blocks\n', 'stable 2.003, 8 blocks')).toBe(true)
    expect(isSame('stable 2.004', 'stable 2.1')).toBe(false)
    expect(isSame('8 blocks', '9 blocks')).toBe(false)
    expect(isSame('vanishing 2.0', 'stable 2.0')).toBe(false)
    expect(isSame('', 'stable')).toBe(false)
  })
})
