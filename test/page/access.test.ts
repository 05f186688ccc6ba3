import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Client } from '../support/client.ts'
import {
  copied,
  ELSEWHERE,
  findBarriers,
  openPage,
  startPageTest,
  takePicture,
  type PageTest,
} from './browser.ts'

const SPEC = { architecture: 'resnet20', initializers: { kernel: 'he_normal' }, seed: 7 }
const VIEWS = ['Specification', 'Weights', 'Signals', 'Predict']

let test: PageTest
let browser: Browser
let address: string
let key: string
beforeAll(async () => {
  // A service that listens beyond loopback requires a key.
  test = await startPageTest({ HOST: '0.0.0.0' })
  const { running } = test
  browser = test.browser
  key = String(running.log.find((entry) => 'key' in entry)?.['key'])
  const { port } = new URL(running.client.url)
  address = `http://127.0.0.1:${port}`
  await new Client(address, { authorization: `Bearer ${key}` }).create(SPEC)
})
afterAll(() => test.close())

describe('a service that requires a key', () => {
  it('gets it from a dialog and keeps it for the life of the tab', async () => {
    const { page, context, complaints } = await openPage(browser, address)
    const field = page.getByLabel('Key', { exact: true })
    await field.fill('not the key')
    await field.press('Enter')
    await page.getByText('The service rejected this key.').waitFor()
    expect(await findBarriers(page)).toEqual([])
    await field.fill(key)
    await field.press('Enter')
    await page.getByRole('heading', { name: 'Plan' }).waitFor()
    await page.reload()
    await page.getByRole('heading', { name: 'Plan' }).waitFor()
    expect(await page.evaluate('Object.values(localStorage)')).toEqual([])
    expect(page.url()).not.toContain(key)

    const program = await copied(page, 'the plan', 'curl')
    expect(program).toContain('Authorization: Bearer $RESINIT_KEY')
    expect(program).not.toContain(key)

    // A link cannot send the key, so the page fetches the file with it.
    await page.getByRole('button', { name: 'Create this model' }).click()
    await page.getByRole('link', { name: 'Weights' }).click()
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Weights (safetensors)' }).click(),
    ])
    expect(download.suggestedFilename()).toMatch(/^[0-9a-f]{12}\.safetensors$/)
    expect(complaints).toEqual([])
    await context.close()
  })
})

describe('a service without TLS on another machine', () => {
  it('shows the text that the browser does not copy', async () => {
    const { page, context, complaints } = await openPage(browser, address.replace('127.0.0.1', ELSEWHERE))
    await page.getByLabel('Key', { exact: true }).fill(key)
    await page.getByLabel('Key', { exact: true }).press('Enter')
    await page.getByRole('heading', { name: 'Plan' }).waitFor()
    await page
      .getByRole('group', { name: 'Copy the plan as a program' })
      .getByText('curl', { exact: true })
      .click()
    const text = page.getByRole('textbox', { name: 'Text to copy' })
    expect(await text.inputValue()).toContain(
      `curl -fsS '${address.replace('127.0.0.1', ELSEWHERE)}/v1/plans'`,
    )
    expect(await findBarriers(page)).toEqual([])
    await page.keyboard.press('Escape')
    await text.waitFor({ state: 'detached' })
    expect(complaints).toEqual([])
    await context.close()
  })
})

describe.each([
  ['light', 1280],
  ['dark', 1280],
  ['light', 390],
  ['dark', 390],
] as const)('%s, %i pixels wide', (colorScheme, width) => {
  it('passes axe, and nothing is wider than the screen', async () => {
    const model = encodeURIComponent(JSON.stringify(SPEC))
    const { page, context, complaints } = await openPage(
      browser,
      `${address}/#signals?model=${model}&repeats=2`,
      {
        ...{ colorScheme, viewport: { width, height: width === 390 ? 844 : 900 } },
      },
    )
    await page.getByLabel('Key', { exact: true }).fill(key)
    await page.getByLabel('Key', { exact: true }).press('Enter')
    await page.getByRole('button', { name: 'Measure' }).click()
    await page.getByRole('img', { name: /^Variance/ }).waitFor()
    for (const view of VIEWS) {
      await page.getByRole('link', { name: view }).click()
      if (view === 'Weights') await page.getByRole('img', { name: /^Histogram of the values/ }).waitFor()
      if (view === 'Specification') {
        await page.getByRole('button', { name: 'Draw a kernel' }).click()
        await page.getByRole('img', { name: /sample and density/ }).waitFor()
      }
      expect(await findBarriers(page), view).toEqual([])
      expect(await page.evaluate<number>('document.documentElement.scrollWidth'), view).toBeLessThanOrEqual(
        width,
      )
      if (colorScheme === 'dark') await takePicture(page, `${view.toLowerCase()}-dark-${String(width)}`)
    }
    expect(complaints).toEqual([])
    await context.close()
  })
})
