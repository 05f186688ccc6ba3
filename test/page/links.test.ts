import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { flowerJpeg } from '../support/images.ts'
import { tiny } from '../support/networks.ts'
import type { ServiceProcess } from '../support/process.ts'
import { openPage, startPageTest, type PageTest, type Watched } from './browser.ts'

const experiment = {
  architecture: {
    stem: { kernel_size: 3, filters: 8, strides: 1, pool: null },
    stages: [{ blocks: 1, filters: 8, strides: 2 }],
  },
  initializers: ['he_normal'],
  learning_rates: [0.1],
  seeds: [0],
  steps: 11,
}

let test: PageTest
let browser: Browser
let running: ServiceProcess
let watched: Watched
/** The requests of the open page, except reads and plans, which start no work. */
let started: string[]
beforeAll(async () => {
  test = await startPageTest()
  ;({ browser, running } = test)
})
afterAll(() => test.close())
afterEach(async () => {
  expect(watched.complaints).toEqual([])
  await watched.context.close()
})

function linkTo(view: string, fields: readonly (readonly [string, string])[]): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of fields) parameters.append(name, value)
  return `${running.client.url}/#${view}?${parameters.toString()}`
}

/** Opens a link in a browser that has a key, and waits until the page has sent its requests. */
async function visit(link: string): Promise<void> {
  started = []
  watched = await openPage(browser, 'about:blank')
  const { page, context } = watched
  await context.addInitScript("sessionStorage.setItem('resinit.key', 'a key that was typed before')")
  page.on('request', (request) => {
    const { pathname } = new URL(request.url())
    if (request.method() !== 'GET' && pathname !== '/v1/plans')
      started.push(`${request.method()} ${pathname}`)
  })
  await page.goto(link)
  await page.waitForLoadState('networkidle')
}

const spec = JSON.stringify(tiny)
const ready = ['model', spec] as const
const absent = ['model', JSON.stringify({ ...tiny, seed: 99 })] as const
const everything = [
  ready,
  absent,
  ['chosen', '0'],
  ['draft', spec],
  ['experiment', JSON.stringify(experiment)],
  ['trained', 'yes'],
  ['measured', 'yes'],
  ['parameter', 'stem/conv/kernel'],
  ['fit', 'fill'],
  ['built', 'yes'],
  ['predicted', 'yes'],
] as const

describe.each(['', 'specification', 'weights', 'signals', 'predict', 'experiment'])(
  'a link to %j',
  (view) => {
    it('starts no work', async () => {
      await running.client.create({ ...tiny, name: 'net' })
      await visit(linkTo(view, everything))
      // A model that becomes ready, and another link in the same tab.
      await running.client.create({ ...tiny, seed: 98 })
      await watched.page.evaluate(
        `location.hash = ${JSON.stringify(new URL(linkTo(view, [['model', JSON.stringify({ ...tiny, seed: 98 })], ...everything])).hash)}`,
      )
      await watched.page.waitForLoadState('networkidle')
      expect(started).toEqual([])
      expect((await running.client.get('/v1/experiments')).json).toMatchObject({ experiments: [] })
    })
  },
)

it('a page looks up at most eight models of a link', async () => {
  const seeds = Array.from({ length: 40 }, (_, seed) => ['model', JSON.stringify({ ...tiny, seed })] as const)
  await visit(linkTo('weights', seeds))
  expect(await watched.page.locator('.chip').count()).toBe(8)
})

describe('a click starts', () => {
  it('a draw', async () => {
    await visit(linkTo('specification', [['draft', spec]]))
    await watched.page.getByRole('button', { name: 'Draw a kernel' }).click()
    await watched.page.getByRole('img', { name: /sample and density/ }).waitFor()
    expect(started).toEqual(['POST /v1/initializers/GlorotUniform/statistics'])
  })

  it('signals of the current models with the current settings', async () => {
    const { id } = await running.client.create(tiny)
    await visit(linkTo('signals', [ready, ['repeats', '2']]))
    const { page } = watched
    await page.getByRole('button', { name: 'Measure' }).click()
    await page.locator('.verdict-card').first().waitFor()
    const measured = [`POST /v1/models/${id}/signals`]
    expect(started).toEqual(measured)
    for (const fields of [
      [ready, ['repeats', '3']],
      [ready, ['model', JSON.stringify({ ...tiny, seed: 98 })], ['repeats', '2']],
    ] as const) {
      await page.evaluate(`location.hash = ${JSON.stringify(new URL(linkTo('signals', fields)).hash)}`)
      await page.waitForLoadState('networkidle')
    }
    await expect.poll(() => page.locator('.chip .status.ready').count()).toBe(2)
    expect(started).toEqual(measured)
  })

  it('a prediction of images that were chosen for another model', async () => {
    const [one, two] = [await running.client.create(tiny), await running.client.create({ ...tiny, seed: 98 })]
    await visit(linkTo('predict', [ready]))
    const { page } = watched
    await page
      .locator('[name=images]')
      .setInputFiles({ name: 'flower.jpg', mimeType: 'image/jpeg', buffer: flowerJpeg })
    await page.locator('.prediction').waitFor()
    await page.evaluate(
      `location.hash = ${JSON.stringify(new URL(linkTo('predict', [['model', JSON.stringify({ ...tiny, seed: 98 })]])).hash)}`,
    )
    const again = page.getByRole('button', { name: 'Classify them' })
    await again.waitFor()
    expect(started).toEqual([`POST /v1/models/${one.id}/predict`])
    await again.click()
    await page.locator('.prediction').waitFor()
    await page.getByLabel('Other sizes').selectOption('fill')
    await expect.poll(() => started.length).toBe(3)
    expect(started.slice(1)).toEqual(Array(2).fill(`POST /v1/models/${two.id}/predict`))
  })

  it('a training, whose link shows its results on any service that has them', async () => {
    await visit(
      linkTo('experiment', [
        ['experiment', JSON.stringify(experiment)],
        ['trained', '0'.repeat(64)],
      ]),
    )
    const { page } = watched
    await page.getByText('This service has no results of this experiment. Press Train to get them.').waitFor()
    await page.getByRole('button', { name: 'Train' }).click()
    await page.getByRole('heading', { name: 'Verdict' }).waitFor()
    expect(started).toEqual(['POST /v1/experiments'])
    const link = page.url()
    await watched.context.close()
    await visit(link)
    await watched.page.getByRole('heading', { name: 'Verdict' }).waitFor()
    expect(started).toEqual([])
  })
})
