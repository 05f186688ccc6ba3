import { readFile, writeFile } from 'node:fs/promises'
import { format, resolveConfig } from 'prettier'

const FILE = 'docs/performance.md'
const HEAD = `# Results

Results of \`npm run bench\`, each part with its machine, date and command. Medians of interleaved rounds, with minimum
and maximum in parentheses.
`

/**
 * Replaces the section of a part in docs/performance.md. One writer at a time.
 * @param {string} name
 * @param {string} found Markdown without headings of the first two levels.
 */
export async function record(name, found) {
  const old = await readFile(FILE, 'utf8').catch(() => '')
  const sections = new Map(
    old
      .split(/^## /m)
      .slice(1)
      .map((section) => [section.slice(0, section.indexOf('\n')), section.slice(section.indexOf('\n') + 1)]),
  )
  sections.set(name, found)
  const text = [HEAD, ...[...sections].map(([title, section]) => `## ${title}\n\n${section.trim()}\n`)].join(
    '\n',
  )
  const config = await resolveConfig(FILE)
  await writeFile(FILE, await format(text, { ...config, parser: 'markdown' }))
}
