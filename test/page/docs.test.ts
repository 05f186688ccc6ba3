import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { tiny } from '../support/networks.ts'
import type { ServiceProcess } from '../support/process.ts'
import { openPage, startPageTest, type PageTest } from './browser.ts'

let test: PageTest
let browser: Browser
let running: ServiceProcess
beforeAll(async () => {
  test = await startPageTest()
  ;({ browser, running } = test)
})
afterAll(() => test.close())

it.each(['/docs', '/docs/'])(
  '%s renders and sends requests under its policy, to its own origin only',
  async (path) => {
    const { page, context, complaints, origins } = await openPage(browser, running.client.url + path)
    const plans = page.locator('#operations-models-planModel')
    await plans.getByRole('button').first().click()
    await plans.getByRole('button', { name: 'Try it out' }).click()
    await plans.locator('textarea').fill(JSON.stringify(tiny))
    await plans.getByRole('button', { name: 'Execute' }).click()
    const { id } = (await running.client.post('/v1/plans', tiny)).json as { id: string }
    await plans.locator('.live-responses-table').getByText(id).first().waitFor()
    expect(complaints).toEqual([])
    expect([...origins]).toEqual([running.client.url])
    await context.close()
  },
)
