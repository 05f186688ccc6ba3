import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { tiny } from '../support/networks.ts'
import { startProcess, type ServiceProcess } from '../support/process.ts'
import { temporaryFolder } from '../support/service.ts'
import { EVIL, openPage, startBrowser, type Watched } from './browser.ts'

let browser: Browser
/** Services that listen on different addresses. */
let running: ServiceProcess
let onIpv6: ServiceProcess
/** Serves the pages of another site. */
let other: Server
let evil: string
let folder: string
beforeAll(async () => {
  folder = await temporaryFolder()
  running = await startProcess({ DATA_DIR: join(folder, '127.0.0.1') })
  onIpv6 = await startProcess({ HOST: '::1', DATA_DIR: join(folder, '::1') })
  other = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html').end('<title>Another site</title><p>Hello')
  })
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  evil = `http://${EVIL}:${String((other.address() as AddressInfo).port)}`
  browser = await startBrowser()
})
afterAll(async () => {
  await browser.close()
  other.close()
  await running.stop()
  await onIpv6.stop()
  await rm(folder, { recursive: true })
})

let watched: Watched | undefined
beforeEach(async () => {
  for (const { client } of [running, onIpv6]) await client.create({ ...tiny, name: 'net' })
})
afterEach(async () => {
  await watched?.context.close()
})

/** The models of the service, which other sites must not change. */
const models = async ({ client }: ServiceProcess): Promise<unknown> => {
  const { models: found } = (await client.get('/v1/models')).json as {
    models: { id: string; names: string[]; state: string }[]
  }
  // The digest follows a creation within seconds.
  return found.map(({ id, names, state }) => ({ id, names, state }))
}

/** A script that sends requests, simple ones without preflight, and returns the responses that it could read. */
const attack = (service: string): string => `(async () => {
  const send = (path, init) => fetch(${JSON.stringify(service)} + path, init).then(
    async (answer) => answer.type === 'opaque' ? 'opaque' : answer.status + ' ' + (await answer.text()).slice(0, 2000),
    () => 'failed')
  const plain = (path, mode) => send(path, { method: 'POST', mode, headers: { 'content-type': 'text/plain' }, body: '{}' })
  const form = new FormData()
  form.append('spec', new Blob([${JSON.stringify(JSON.stringify({ ...tiny, seed: 1 }))}], { type: 'application/json' }))
  navigator.sendBeacon(${JSON.stringify(service)} + '/v2/repository/models/net/unload', '{}')
  return {
    list: await send('/v1/models'),
    blindly: await send('/v1/models', { mode: 'no-cors' }),
    unload: await plain('/v2/repository/models/net/unload', 'no-cors'),
    load: await plain('/v2/repository/models/net/load'),
    create: await send('/v1/models', { method: 'POST', mode: 'no-cors', body: form }),
    remove: await send('/v1/models/net', { method: 'DELETE' }),
    train: await send('/v1/experiments', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' }),
  }
})()`

describe.each(['127.0.0.1', 'localhost', '[::1]'])('a service at %s', (host) => {
  const service = (): ServiceProcess => (host === '[::1]' ? onIpv6 : running)
  const address = (): string => `http://${host}:${new URL(service().client.url).port}`

  it('cannot be read or changed by a page of another site', async () => {
    const before = await models(service())
    watched = await openPage(browser, evil)
    const answers = await watched.page.evaluate<Record<string, string>>(attack(address()))
    expect(answers).toEqual({
      ...{ list: 'failed', load: 'failed', remove: 'failed', train: 'failed' },
      ...{ blindly: 'opaque', unload: 'opaque', create: 'opaque' },
    })
    expect(await models(service())).toEqual(before)
    expect((await service().client.get('/v1/experiments')).json).toMatchObject({ experiments: [] })
  })

  it('opens by a link from another site, and its own page works', async () => {
    watched = await openPage(browser, evil)
    const { page } = watched
    for (const path of ['/', '/docs']) {
      await page.goto(evil)
      await page.evaluate(
        `document.body.append(Object.assign(document.createElement('a'), { href: ${JSON.stringify(address() + path)}, textContent: 'the service' }))`,
      )
      await page.getByText('the service').click()
      await page.waitForURL(`${address()}${path}**`)
    }
    await page.getByText('Lists the initializers').waitFor()
    await page.goto(
      `${address()}/#specification?draft=${encodeURIComponent(JSON.stringify({ ...tiny, seed: 2 }))}`,
    )
    await page.getByRole('heading', { name: 'Plan' }).waitFor()
    await page.getByRole('button', { name: 'Create this model' }).click()
    await page.getByText(/^ready, built in/).waitFor()
    // A page of another site cannot show it in a frame.
    await page.goto(evil)
    await page.evaluate(
      `document.body.append(Object.assign(document.createElement('iframe'), { src: ${JSON.stringify(`${address()}/`)} }))`,
    )
    await page
      .frameLocator('iframe')
      .getByText(/CROSS_SITE_REFUSED/)
      .waitFor()
  })
})

it('DNS rebinding to this machine gives no access', async () => {
  const before = await models(running)
  const address = `http://${EVIL}:${new URL(running.client.url).port}`
  watched = await openPage(browser, `${address}/`)
  const { page } = watched
  await page.getByText(/CROSS_SITE_REFUSED/).waitFor()
  // A script of the other site, loaded before its name resolved to this machine.
  const answers = await page.evaluate<Record<string, string>>(attack(address))
  expect(Object.keys(answers)).toHaveLength(7)
  for (const [what, answer] of Object.entries(answers))
    expect(answer, what).toMatch(/^403 .*CROSS_SITE_REFUSED|^403 \{"error":"the Host/)
  expect(await models(running)).toEqual(before)
})
