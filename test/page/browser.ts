import axe from 'axe-core'
import {
  chromium,
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  type Page,
} from 'playwright-core'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { startProcess, type ServiceProcess } from '../support/process.ts'
import { temporaryFolder, type Settings } from '../support/service.ts'

const { RESINIT_CHROMIUM = '/usr/bin/chromium', RESINIT_SCREENSHOTS } = process.env

/** Long enough for a busy machine. */
const TIMEOUT_MS = 200_000

/** A name that resolves to this machine and is no loopback name: its pages over plain HTTP have no clipboard access. */
export const ELSEWHERE = 'resinit.test'
/** Another site, whose name also resolves to this machine. */
export const EVIL = 'evil.test'

/** Starts Chromium without its sandbox, which needs privileges that containers lack. */
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

/** A service, a browser and a folder for files of the test. */
export interface PageTest {
  readonly browser: Browser
  readonly running: ServiceProcess
  readonly folder: string
  close(): Promise<void>
}

export async function startPageTest(settings: Settings = {}): Promise<PageTest> {
  const folder = await temporaryFolder()
  const running = await startProcess({ DATA_DIR: join(folder, 'data'), ...settings })
  const browser = await startBrowser()
  const close = async (): Promise<void> => {
    await browser.close()
    await running.stop()
    await rm(folder, { recursive: true })
  }
  return { browser, running, folder, close }
}

/** A page and its errors. */
export interface Watched {
  readonly page: Page
  readonly context: BrowserContext
  /** Errors and warnings of its console, except the browser's own messages about error responses. */
  readonly complaints: readonly string[]
  /** Origins to which it sent requests. */
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

/** Violations that axe rates serious or critical, with their elements. */
export async function findBarriers(page: Page): Promise<string[]> {
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate<axe.AxeResults>('axe.run()')
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`))
}

/** Presses a button of "Copy as" and returns the clipboard. */
export async function copied(page: Page, what: string, language: string): Promise<string> {
  await page
    .getByRole('group', { name: `Copy ${what} as a program` })
    .getByText(language, { exact: true })
    .click()
  return page.evaluate<string>('navigator.clipboard.readText()')
}

/** Takes a screenshot for the README if RESINIT_SCREENSHOTS names a folder. */
export async function takePicture(page: Page, name: string): Promise<void> {
  if (RESINIT_SCREENSHOTS === undefined) return
  await mkdir(RESINIT_SCREENSHOTS, { recursive: true })
  await page.screenshot({ path: `${RESINIT_SCREENSHOTS}/${name}.png`, animations: 'disabled' })
}
