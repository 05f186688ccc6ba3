import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { ServiceProcess } from '../support/process.ts'
import {
  copied,
  findBarriers,
  openPage,
  startPageTest,
  takePicture,
  type PageTest,
  type Watched,
} from './browser.ts'

/** Trainings have the lowest priority and take much longer on a busy machine. */
const PATIENCE_MS = 300_000
/** Trains within seconds. */
const small = {
  architecture: {
    stem: { kernel_size: 3, filters: 8, strides: 1, pool: null },
    stages: [{ blocks: 1, filters: 8, strides: 2 }],
  },
  initializers: ['he_normal', 'zeros'],
  learning_rates: [0.1, 0.3],
  seeds: [0, 1],
  steps: 22,
}

let test: PageTest
let browser: Browser
let running: ServiceProcess
let watched: Watched
beforeAll(async () => {
  test = await startPageTest()
  ;({ browser, running } = test)
})
afterAll(async () => {
  await watched.context.close()
  await test.close()
  expect(watched.complaints).toEqual([])
  expect([...watched.origins]).toEqual([running.client.url])
})

const visit = async (experiment: object): Promise<void> => {
  const query = new URLSearchParams({ experiment: JSON.stringify(experiment) }).toString()
  watched = await openPage(browser, `${running.client.url}/#experiment?${query}`)
  watched.page.setDefaultTimeout(PATIENCE_MS)
}

it(
  'trains, draws the curves of every learning rate, and shows the result',
  { timeout: PATIENCE_MS },
  async () => {
    await visit(small)
    const { page } = watched
    expect(await page.getByLabel('Initializers').inputValue()).toBe('he_normal, zeros')
    await page.getByLabel('Steps', { exact: true }).fill('33')
    await page.getByLabel('Steps', { exact: true }).blur()
    await page.getByRole('button', { name: 'Train' }).click()
    await page.getByRole('heading', { name: 'Verdict' }).waitFor()
    await page
      .getByText(/Zeros trains with none of the learning rates/)
      .first()
      .waitFor()
    for (const rate of ['0.1', '0.3'])
      await page.getByRole('img', { name: new RegExp(`^Learning rate ${rate}: `) }).waitFor()
    const table = page.getByRole('region', { name: 'Results in numbers' })
    expect(await table.locator('tbody tr').count()).toBe(4)
    expect(await findBarriers(page)).toEqual([])
    await takePicture(page, 'experiment')

    // The copied program and the page's address request the same job.
    const command = await copied(page, 'the experiment', 'curl')
    const [, body = ''] = /-d '(.*)'/s.exec(command) ?? []
    expect(JSON.parse(body)).toEqual({ ...small, steps: 33 })
    const again = await running.client.post('/v1/experiments', JSON.parse(body))
    expect(again.status).toBe(200)
    await page.reload()
    await page.getByRole('heading', { name: 'Verdict' }).waitFor()
    await watched.context.close()
  },
)

it('is cancelled, and shows errors of the service', { timeout: PATIENCE_MS }, async () => {
  await visit({ ...small, steps: 3000 })
  const { page } = watched
  await page.getByRole('button', { name: 'Train' }).click()
  await page.getByText(/run 1 of 8, step [1-9]/).waitFor()
  await page.getByRole('button', { name: 'Cancel' }).click()
  await page.getByRole('heading', { name: 'cancelled' }).waitFor()

  await page.getByLabel('Initializers').fill('he_norml')
  await page.getByLabel('Initializers').blur()
  await page.getByRole('button', { name: 'Train' }).click()
  await expect.poll(() => page.getByRole('alert').textContent()).toMatch(/did you mean "he_normal"/)
})
