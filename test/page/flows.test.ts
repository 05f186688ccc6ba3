import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { transform } from 'esbuild'
import type { Browser, Download, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { ModelBody, PredictionsBody, ProblemBody } from '../support/client.ts'
import { flowerJpeg } from '../support/images.ts'
import type { ServiceProcess } from '../support/process.ts'
import { copied, openPage, startPageTest, takePicture, type PageTest, type Watched } from './browser.ts'

const FLOWER = fileURLToPath(new URL('../fixtures/flower.jpg', import.meta.url))
const HE = { architecture: 'resnet20', initializers: { kernel: 'he_normal' }, seed: 7 }
const GLOROT = { ...HE, initializers: { kernel: 'glorot_uniform' } }

let test: PageTest
let browser: Browser
let running: ServiceProcess
let watched: Watched
let page: Page
let folder: string

beforeAll(async () => {
  test = await startPageTest()
  ;({ browser, running, folder } = test)
})
afterAll(() => test.close())
beforeEach(async () => {
  await visit('')
})
// Every test ends without console messages and without requests to other origins.
afterEach(async () => {
  await watched.context.close()
  expect(watched.complaints).toEqual([])
  expect([...watched.origins]).toEqual([running.client.url])
})

async function visit(fragment: string): Promise<void> {
  const before = watched as Watched | undefined
  await before?.context.close()
  watched = await openPage(browser, `${running.client.url}/${fragment}`)
  page = watched.page
}

const link = (view: string, ...specs: readonly object[]): string =>
  `#${view}?${specs.map((spec) => `model=${encodeURIComponent(JSON.stringify(spec))}`).join('&')}`

async function contents(download: Download): Promise<Buffer> {
  return readFile(await download.path())
}

async function downloaded(name: string, role: 'button' | 'link' = 'button'): Promise<Buffer> {
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole(role, { name, exact: true }).first().click(),
  ])
  return contents(download)
}

describe('specification', () => {
  it('plans during editing and shows shape errors', async () => {
    const editor = page.getByRole('textbox', { name: 'Specification as JSON' })
    const article = { architecture: { preset: 'residual_network', projection_shortcut: false } }
    await editor.fill(JSON.stringify(article))
    const { detail } = (await running.client.post('/v1/plans', article)).json as ProblemBody
    await expect.poll(() => page.getByRole('alert').textContent()).toContain(detail)
    expect(detail).toContain('56x56x128')
    await page.getByRole('button', { name: 'Create this model' }).and(page.locator(':disabled')).waitFor()
    await takePicture(page, 'refusal')

    // The cure in the message.
    await editor.fill(JSON.stringify(article).replace('false', '"auto"'))
    await page.getByText('125M', { exact: true }).waitFor()
    expect(await page.getByRole('alert').isHidden()).toBe(true)

    await editor.fill('{"architecture": ')
    await page.getByText('This is not valid JSON').waitFor()
  })

  it('shows every initializer with its formula, its reference and a draw', async () => {
    const { json } = await running.client.get('/v1/initializers')
    const { initializers } = json as { initializers: { name: string; formula: string; reference: string }[] }
    const picker = page.getByLabel('Kernel initializer')
    await expect.poll(() => picker.locator('option').count()).toBe(initializers.length)

    await picker.selectOption('variance_scaling')
    await page.getByLabel('scale').fill('2')
    await page.getByLabel('scale').blur()
    const entry = initializers.find(({ name }) => name === 'VarianceScaling')
    await page.getByText(entry?.formula ?? '', { exact: true }).waitFor()
    await page.getByText(entry?.reference ?? '', { exact: true }).waitFor()
    await page.getByRole('img', { name: /sample and density/ }).waitFor()
    const written = await page.getByRole('textbox', { name: 'Specification as JSON' }).inputValue()
    expect(JSON.parse(written)).toMatchObject({
      initializers: { kernel: { class_name: 'variance_scaling', config: { scale: 2 } } },
    })
  })

  it('creates a model and offers programs that do the same', async () => {
    await page.getByRole('button', { name: 'Create this model' }).click()
    await page.getByText(/^ready, built in/).waitFor()
    await page.getByRole('button', { name: 'Draw a kernel' }).click()
    await page.getByRole('img', { name: /sample and density/ }).waitFor()
    await takePicture(page, 'specification')
    const { id } = await running.client.create(HE)

    const program = {
      curl: await copied(page, 'the creation', 'curl'),
      Python: await copied(page, 'the creation', 'Python'),
      TypeScript: await copied(page, 'the creation', 'TypeScript'),
    }
    for (const [language, text] of Object.entries(program))
      expect(JSON.parse(await output(language, text)), language).toMatchObject({ id, state: 'ready' })
    const spec = JSON.parse((await downloaded('Download')).toString()) as object
    expect((await running.client.post('/v1/plans', spec)).json).toMatchObject({ id })
  })
})

/** Runs a copied program in the test's folder and returns its output. */
async function output(language: string, program: string): Promise<string> {
  const run = promisify(execFile)
  const options = { cwd: folder, maxBuffer: 2 ** 26 }
  if (language === 'curl') return (await run('bash', ['-euc', program], options)).stdout
  if (language === 'Python') return (await run('python3', ['-c', program], options)).stdout
  const file = join(folder, 'program.mjs')
  await writeFile(file, (await transform(program, { loader: 'ts' })).code)
  return (await run(process.execPath, [file], options)).stdout
}

describe('weights', () => {
  it('shows every parameter with its theory and offers downloads', async () => {
    const { id } = await running.client.create(HE)
    await visit(link('weights', HE))
    const { json } = await running.client.get(`/v1/models/${id}/statistics`)
    const { totals, parameters } = json as {
      totals: { sha256: string; count: number }
      parameters: { name: string; sample: { sha256: string } }[]
    }
    await page
      .getByText(`All ${String(totals.count)} parameters are consistent with their initializers.`)
      .waitFor()
    const table = page.getByRole('region', { name: 'Parameters' })
    expect(await table.locator('tbody tr').count()).toBe(totals.count)

    const name = 'stage2/block1/conv1/kernel'
    await page.getByRole('searchbox', { name: 'Find' }).fill('stage2 conv1 kernel')
    await table.getByRole('button', { name }).click()
    await page.getByRole('img', { name: 'Histogram of the values and theoretical density' }).waitFor()
    const spectrum = page.getByRole('img', { name: /^Singular values and the edges of the Marchenko/ })
    // 3x3x16x32 flattened is 144x32.
    expect(await spectrum.locator('circle').count()).toBe(32)
    expect(await spectrum.getByText(/^edge/).count()).toBe(2)
    const sha256 = parameters.find((parameter) => parameter.name === name)?.sample.sha256 ?? ''
    await page.getByText(sha256.slice(0, 16)).waitFor()
    await takePicture(page, 'weights')

    expect(JSON.parse((await downloaded('Statistics (JSON)')).toString())).toEqual(json)
    const weights = await downloaded('Weights (safetensors)', 'link')
    expect(digest(weights)).toBe(digest((await running.client.get(`/v1/models/${id}/weights`)).bytes))
    const tar = await downloaded('SavedModel (tar)', 'link')
    expect(digest(tar)).toBe(digest((await running.client.get(`/v1/models/${id}/savedmodel`)).bytes))
    const spec = JSON.parse((await downloaded('Specification (JSON)')).toString()) as object
    expect((await running.client.post('/v1/plans', spec)).json).toMatchObject({ id })
    for (const language of ['curl', 'Python', 'TypeScript'])
      expect(
        JSON.parse(await output(language, await copied(page, 'the statistics', language))),
        language,
      ).toEqual(json)
  })
})

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

describe('signals', () => {
  it("overlays models and shows the service's verdict", async () => {
    const plain = {
      architecture: { preset: 'resnet20', norm: 'none' },
      initializers: { kernel: 'he_normal' },
    }
    const specs = [HE, GLOROT, plain]
    const ids = []
    for (const spec of specs) ids.push((await running.client.create(spec)).id)
    await visit(link('signals', ...specs))
    await page.getByLabel('Repeats').fill('3')
    await page.getByLabel('Repeats').blur()
    await page.getByRole('button', { name: 'Measure' }).click()
    await expect.poll(() => page.locator('.verdict-card').count(), { timeout: 200_000 }).toBe(specs.length)

    const question = { batch_size: 8, repeats: 3, seed: 0, mode: 'training' }
    for (const [index, id] of ids.entries()) {
      const { json } = await running.client.post(`/v1/models/${id}/signals`, question)
      const { verdict, reason } = json as { verdict: string; reason: string }
      const card = (await page.locator('.verdict-card').nth(index).textContent())?.toLowerCase()
      expect(card).toContain(verdict)
      expect(card).toContain(reason.toLowerCase())
    }
    for (const chart of [/^Variance of each block/, /^Gradient norm of each block/]) {
      const drawn = page.getByRole('img', { name: chart })
      for (const colour of ['--model-1', '--model-2', '--model-3']) {
        expect(await drawn.locator(`[stroke="var(${colour})"] path`).count()).toBeGreaterThan(0)
        // The band of the interval.
        expect(await drawn.locator(`[fill="var(${colour})"][fill-opacity] path`).count()).toBeGreaterThan(0)
      }
    }
    await page.getByRole('img', { name: /^Gradient norm/ }).scrollIntoViewIfNeeded()
    await takePicture(page, 'signals')

    // The link restores the models and the settings; a click restores the result.
    const address = page.url()
    await visit(new URL(address).hash)
    await page.getByRole('button', { name: 'Measure' }).click()
    await expect.poll(() => page.locator('.verdict-card').count(), { timeout: 200_000 }).toBe(specs.length)
    expect(await page.getByLabel('Repeats').inputValue()).toBe('3')
    expect(page.url()).toBe(address)
  })
})

describe('predict', () => {
  it('accepts chosen, dropped and pasted images and explains the result', async () => {
    const { id } = await running.client.create(HE)
    await visit(link('predict', HE))
    await page.locator('[name=images]').setInputFiles(FLOWER)
    await page.getByText(/This network is untrained/).waitFor()
    const answer = await running.client.upload(`/v1/models/${id}/predict?top_k=5`, flowerJpeg, 'image/jpeg')
    const [prediction] = (answer.json as PredictionsBody).predictions
    const classes = prediction?.classes.map(({ index }) => `class ${String(index)}`)
    expect(await page.locator('.classes .name').allTextContents()).toEqual(classes)
    await page.getByText(/ms in the service: .* decoding, .* queued, .* computing a batch of 1/).waitFor()
    await takePicture(page, 'predict')

    await copyFile(FLOWER, join(folder, 'flower.jpg'))
    for (const language of ['curl', 'Python', 'TypeScript']) {
      const printed = JSON.parse(
        await output(language, await copied(page, 'the prediction', language)),
      ) as object
      expect((printed as PredictionsBody).predictions[0]?.classes[0]?.index, language).toBe(
        prediction?.classes[0]?.index,
      )
    }

    for (const event of ['drop', 'paste']) {
      await page.evaluate(handOver(event, 2))
      await expect.poll(() => page.locator('.prediction').count()).toBe(2)
      expect(await page.locator('.prediction h3').allTextContents()).toEqual([
        `${event}-0.jpg`,
        `${event}-1.jpg`,
      ])
    }
  })
})

/** A script that drops or pastes the photograph `times` times. */
function handOver(event: string, times: number): string {
  return `{
    const bytes = Uint8Array.from(atob(${JSON.stringify(flowerJpeg.toString('base64'))}), (letter) => letter.charCodeAt(0))
    const handed = new DataTransfer()
    for (let index = 0; index < ${String(times)}; index++)
      handed.items.add(new File([bytes], ${JSON.stringify(event)} + '-' + index + '.jpg', { type: 'image/jpeg' }))
    const made = ${
      event === 'drop'
        ? "new DragEvent('drop', { dataTransfer: handed, bubbles: true, cancelable: true })"
        : "new ClipboardEvent('paste', { clipboardData: handed, bubbles: true })"
    }
    document.querySelector(${event === 'drop' ? "'.drop'" : "'body'"}).dispatchEvent(made)
  }`
}

describe('all of it', () => {
  it('works by keyboard alone', async () => {
    const tabTo = async (name: string): Promise<void> => {
      for (let tabs = 0; tabs < 80; tabs++) {
        await page.keyboard.press('Tab')
        const focused = await page.evaluate<string>(
          '(document.activeElement.labels?.[0]?.querySelector(".label") ?? document.activeElement).textContent',
        )
        if (focused.startsWith(name)) return
      }
      throw new Error(`no tab leads to ${name}`)
    }
    await page.getByLabel('Seed', { exact: true }).waitFor()
    await tabTo('Seed')
    await page.keyboard.press('Control+A')
    await page.keyboard.type('11')
    await tabTo('Create this model')
    await page.getByRole('button', { name: 'Create this model', disabled: false }).waitFor()
    await tabTo('Create this model').catch(() => tabTo('Create this model'))
    await page.keyboard.press('Enter')
    await page.getByText(/^ready, built in/).waitFor()
    await tabTo('Weights')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Parameters' }).waitFor()
    await tabTo('stem/norm/gamma')
    await page.keyboard.press('Enter')
    await page.getByText('Every value is 1.').waitFor()
    const id = await page.evaluate<string>('new URLSearchParams(location.hash.split("?")[1]).get("model")')
    expect(JSON.parse(id)).toMatchObject({ seed: 11 })
  })

  it('remains usable while ResNet-152 is measured', async () => {
    const { id } = await running.client.create({ architecture: 'resnet152', seed: 3 })
    await visit(link('weights', { architecture: 'resnet152', seed: 3 }))
    await page.getByText(/^Measuring the parameters/).waitFor()
    await page.getByRole('link', { name: 'Specification' }).click()
    const began = performance.now()
    await page.getByRole('textbox', { name: 'Specification as JSON' }).fill('{"architecture": "resnet34"}')
    await page.getByText('21.8M', { exact: true }).waitFor()
    expect(performance.now() - began).toBeLessThan(20_000)
    // The measurement continued meanwhile.
    await page.getByRole('link', { name: 'Weights' }).click()
    await page.getByText(/^Measuring the parameters/).waitFor()
    await page.getByRole('heading', { name: 'Parameters' }).waitFor()
    const { json } = await running.client.get(`/v1/models/${id}/statistics`)
    const { parameters } = json as { parameters: unknown[] }
    expect(await page.getByRole('region', { name: 'Parameters' }).locator('tbody tr').count()).toBe(
      parameters.length,
    )
    await running.client.delete(`/v1/models/${id}`)
  })

  it('is restored on another service by its link', async () => {
    const { id } = await running.client.create(HE)
    await visit(link('weights', HE))
    await page.getByRole('heading', { name: 'Parameters' }).waitFor()
    await running.client.delete(`/v1/models/${id}`)
    await page.reload()
    await page.locator('.status.absent').waitFor()
    await page.getByRole('button', { name: 'Build it' }).click()
    await page.getByRole('heading', { name: 'Parameters' }).waitFor()
    expect((await running.client.get(`/v1/models/${id}`)).json as ModelBody).toMatchObject({
      id,
      state: 'ready',
    })
  })
})
