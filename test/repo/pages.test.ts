import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { lexer, walkTokens } from 'marked'
import { describe, expect, it } from 'vitest'
import { blocksOf, isSame } from '../../.ci/lib/pages.mjs'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const read = (name: string): string => readFileSync(path.join(ROOT, name), 'utf8')
const pages = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'], {
  cwd: ROOT,
  encoding: 'utf8',
})
  .split('\n')
  .filter((name) => name !== '' && existsSync(path.join(ROOT, name)))

/** Where a page's links and pictures point. */
function linksOf(page: string): string[] {
  const links: string[] = []
  void walkTokens(lexer(page), (token) => {
    if (token.type === 'link' || token.type === 'image') links.push(String(token.href))
  })
  return links
}

/** The anchors GitHub gives a page's headings. */
function anchorsOf(page: string): string[] {
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

/** Links within the repository that lead nowhere. */
function brokenLinks(name: string, page: string): string[] {
  const anchors = new Map([[name, anchorsOf(page)]])
  return linksOf(page).filter((link) => {
    if (/^\w+:/.test(link)) return false
    const [file = '', anchor] = link.split('#')
    const target = file === '' ? name : path.join(path.dirname(name), file)
    if (!existsSync(path.join(ROOT, target))) return true
    if (anchor === undefined) return false
    const offered = anchors.get(target) ?? anchorsOf(read(target))
    anchors.set(target, offered)
    return !offered.includes(anchor)
  })
}

describe('links', () => {
  it.each(pages)('in %s resolve', (name) => {
    expect(brokenLinks(name, read(name))).toEqual([])
  })

  it('are found, and broken ones are reported', () => {
    const page =
      '# A title, *here*\n[a](#a-title-here) [b](#another) ![c](docs/none.svg) [d](docs/errors.md#errors) `[e](f)`'
    expect(brokenLinks('README.md', page)).toEqual(['#another', 'docs/none.svg'])
  })
})

describe('commands', () => {
  it.each(pages)('in %s are run by the tour, or name what else runs them', (name) => {
    const blocks = blocksOf(read(name))
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
    expect(blocksOf(page)).toMatchObject([
      { language: 'sh', text: 'echo 1', line: 3, expected: '1', restart: true },
      { language: 'python', text: 'print(2)', expected: undefined, exempt: 'not run: it takes an hour' },
    ])
    expect(() => blocksOf('```ruby\nputs 1\n```')).toThrow('line 1: nobody runs a block of ruby')
    expect(() => blocksOf('prose\n\n```text\n1\n```')).toThrow('line 3: nobody runs a block of text')
  })

  it('match when only the last digits of decimals differ', () => {
    expect(isSame('stable 2.004, 8 blocks\n', 'stable 2.003, 8 blocks')).toBe(true)
    expect(isSame('stable 2.004', 'stable 2.1')).toBe(false)
    expect(isSame('8 blocks', '9 blocks')).toBe(false)
    expect(isSame('vanishing 2.0', 'stable 2.0')).toBe(false)
    expect(isSame('', 'stable')).toBe(false)
  })
})
