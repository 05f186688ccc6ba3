import axe from 'axe-core'
import {
  chromium,
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  type Page,
} from 'playwright-core'
import { mkdir } from 'node:fs/promises'

const { RESINIT_CHROMIUM = '/usr/bin/chromium', RESINIT_SCREENSHOTS } = process.env

/** For whatever a loaded machine takes its time for. */
const TIMEOUT_MS = 100_000

/** A name of this machine that browsers do not know for it: what comes from there over plain HTTP gets no clipboard. */
export const ELSEWHERE = 'resinit.test'
/** A site of others, which its name leads to on this machine. */
export const EVIL = 'evil.test'

/** Chromium, without the sandbox that needs rights which containers do not give. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: RESINIT_CHROMIUM,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      `--host-resolver-rules=MAP ${ELSEWHERE} 127.0.0.1,MAP ${EVIL} 127.0.0.1`,
    ],
  })
}

/** A page, and what went wrong on it. */
export interface Watched {
  readonly page: Page
  readonly context: BrowserContext
  /** Errors and warnings of its console, but for answers that are errors, which the browser logs by itself. */
  readonly complaints: readonly string[]
  /** Where it sent requests. */
  readonly origins: ReadonlySet<string>
}

export async function openPage(
  browser: Browser,
  address: string,
  options: BrowserContextOptions = {},
): Promise<Watched> {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 900 },
    permissions: ['clipboard-read', 'clipboard-write'],
    ...options,
  })
  const page = await context.newPage()
  page.setDefaultTimeout(TIMEOUT_MS)
  const complaints: string[] = []
  const origins = new Set<string>()
  page.on('console', (message) => {
    const answered = message
      .text()
      .startsWith('Failed to load resource: the server responded with a status of 4')
    if (['error', 'warning'].includes(message.type()) && !answered) complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('request', (request) => {
    const { protocol, origin } = new URL(request.url())
    if (protocol !== 'blob:') origins.add(origin)
  })
  await page.goto(address)
  return { page, context, complaints, origins }
}

/** What axe finds serious or worse, each with where. */
export async function barriers(page: Page): Promise<string[]> {
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate<axe.AxeResults>('axe.run()')
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`))
}

/** What a button of "Copy as" puts into the clipboard. */
export async function copied(page: Page, what: string, language: string): Promise<string> {
  await page
    .getByRole('group', { name: `Copy ${what} as a program` })
    .getByText(language, { exact: true })
    .click()
  return page.evaluate<string>('navigator.clipboard.readText()')
}

/** A picture for the README, where RESINIT_SCREENSHOTS names the folder for them. */
export async function picture(page: Page, name: string): Promise<void> {
  if (RESINIT_SCREENSHOTS === undefined) return
  await mkdir(RESINIT_SCREENSHOTS, { recursive: true })
  await page.screenshot({ path: `${RESINIT_SCREENSHOTS}/${name}.png`, animations: 'disabled' })
}
