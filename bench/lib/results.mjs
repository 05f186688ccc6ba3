import { readFile, writeFile } from 'node:fs/promises'
import { format, resolveConfig } from 'prettier'

const FILE = 'docs/performance.md'
const HEAD = '# Performance\n'

/**
 * Replaces the section of a part in docs/performance.md. One writer at a time.
 * @param {string} name
 * @param {string} found Markdown without headings of the first two levels.
 */
export async function record(name, found) {
  const old = await readFile(FILE, 'utf8').catch(() => '')
  const [head = '', ...parts] = old.split(/^## /m)
  const sections = new Map(
    parts.map((section) => [
      section.slice(0, section.indexOf('\n')),
      section.slice(section.indexOf('\n') + 1),
    ]),
  )
  sections.set(name, found)
  const text = [
    head.trim() === '' ? HEAD : head,
    ...[...sections].map(([title, section]) => `## ${title}\n\n${section.trim()}\n`),
  ].join('\n')
  const config = await resolveConfig(FILE)
  await writeFile(FILE, await format(text, { ...config, parser: 'markdown' }))
}
