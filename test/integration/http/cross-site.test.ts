import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { rm } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Answer } from '../../support/client.ts'
import { isForeign, openapi } from '../../support/contract.ts'
import { tiny } from '../../support/networks.ts'
import { expectForeignError, expectProblem, type Refusal } from '../../support/problems.ts'
import { startProcess, type ServiceProcess } from '../../support/process.ts'
import { startService, temporaryFolder, type RunningService } from '../../support/service.ts'

type Headers = Readonly<Record<string, string>>

const NAMED = 'https://app.example.com'
const EVIL = 'http://evil.example'
const REFUSED = { status: 403, code: 'CROSS_SITE_REFUSED' } as const
/** Headers of a browser that follows a link. */
const VISIT = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
const HTML = { accept: 'text/html' }

let running: RunningService
let own: string
beforeAll(async () => {
  running = await startService({ CORS_ORIGINS: NAMED })
  own = new URL(running.client.url).host
  await running.client.create({ ...tiny, name: 'net' })
})
afterAll(() => running.close())

const list = (headers: Headers): Promise<Answer> => running.client.get('/v1/models', headers)
const plan = (headers: Headers): Promise<Answer> => running.client.post('/v1/plans', tiny, headers)

describe('pages of other sites', () => {
  const offered = Object.entries(openapi.paths).flatMap(([path, operations]) =>
    Object.keys(operations).flatMap((method) =>
      [method, ...(method === 'get' ? ['head'] : [])].map((sent) => [sent, path] as const),
    ),
  )
  const unlisted = ['/v2/', '/docs', '/docs/', '/docs/json', '/docs/static/swagger-ui.css', '/openapi.json']
  const routes = [
    ...offered,
    ...unlisted.map((path) => ['get', path] as const),
    ...['classify', 'regress', 'nothing'].map((verb) => ['post', `/v1/models/{model}:${verb}`] as const),
    ...['/nothing', '/v2/nothing', '/page/main.js'].map((path) => ['post', path] as const),
    ['options', '/v1/models'] as const,
  ]
  const signs: readonly Headers[] = [
    { origin: EVIL, 'sec-fetch-site': 'cross-site' },
    { origin: EVIL },
    { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' },
    { host: 'evil.example' },
  ]

  it.each(routes)('%s %s', async (method, path) => {
    const wanted = path.replaceAll(/\{[^}]+\}/g, 'net')
    const refusal: Refusal = REFUSED
    for (const headers of signs) {
      const answer = await running.client.send(method as 'get', wanted, headers)
      if (method === 'head') expect(answer.status).toBe(403)
      else if (isForeign(wanted)) expectForeignError(answer, { status: 403, says: /set API_KEYS_FILE/ })
      else expectProblem(answer, { ...refusal, says: /set API_KEYS_FILE/ })
    }
  })

  it('change nothing with requests that need no preflight', async () => {
    const cross = { origin: EVIL, 'sec-fetch-site': 'cross-site' }
    const before = await list({})
    const plain = (path: string) => running.client.upload(path, '{}', 'text/plain', cross)
    const spec = { name: 'spec', value: JSON.stringify(tiny) }
    for (const answer of [
      await plain('/v2/repository/models/net/unload'),
      await plain('/v1/models'),
      await running.client.form('/v1/models', [spec], cross),
    ])
      expect(answer.status).toBe(403)
    expect((await list({})).json).toEqual(before.json)
  })

  it('are rejected before the body arrives', async () => {
    const { hostname, port } = new URL(running.client.url)
    for (const path of [
      '/v1/models',
      '/v1/models/net/predict',
      '/v1/weights/statistics',
      '/v2/models/net/infer',
    ]) {
      const socket = connect(Number(port), hostname)
      socket.write(
        `POST ${path} HTTP/1.1\r\nHost: ${own}\r\nOrigin: ${EVIL}\r\nContent-Type: image/png\r\nContent-Length: 60000000\r\n\r\n`,
      )
      const [head] = (await socket.take(1).toArray()) as Buffer[]
      expect(head?.toString(), path).toMatch(/^HTTP\/1.1 403 /)
      socket.destroy()
    }
  })
})

describe('the origin', () => {
  it.each([
    ['no browser', {}],
    ['the page itself', { 'sec-fetch-site': 'same-origin' }],
    ['an address that a person typed', { 'sec-fetch-site': 'none' }],
    ['a named origin', { origin: NAMED, 'sec-fetch-site': 'cross-site' }],
  ])('of %s may call', async (_, headers: Headers) => {
    expect((await list(headers)).status).toBe(200)
    expect((await plan(headers)).status).toBe(200)
  })

  it('is the service itself if it matches the Host of the request, in any spelling', async () => {
    for (const [origin, host] of [
      [`http://${own}`, own],
      [`https://${own}`, own],
      ['http://localhost:81', 'LOCALHOST:81'],
      ['http://[::1]:81', '[0:0::1]:81'],
      ['http://localhost', 'localhost:80'],
      ['https://localhost', 'localhost'],
      ['https://localhost', 'localhost:443'],
    ] as const)
      expect((await plan({ origin, host, 'sec-fetch-site': 'same-origin' })).status, origin).toBe(200)
  })

  it.each([
    'null',
    '',
    'http://localhost',
    'http://evil.example:80',
    `${NAMED}.evil.example`,
    'http://app.example.com',
    'https://app.example.com:8443',
    'chrome-extension://abcdefghijklmnop',
    'file://',
    `http://evil.example, ${NAMED}`,
  ])('%j is rejected', async (origin) => {
    expectProblem(await plan({ origin }), { ...REFUSED, says: /CORS_ORIGINS/ })
  })

  it('of the service does not override Sec-Fetch-Site', async () => {
    const same = { 'sec-fetch-site': 'same-origin' }
    for (const headers of [
      { ...same, origin: EVIL },
      { ...same, origin: `http://evil.example@${own}` },
      { ...same, origin: `http://${own}/` },
      { origin: `http://${own}`, 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'same-origin, cross-site' },
      { 'sec-fetch-site': 'anything' },
      { ...same, host: 'evil.example', 'x-forwarded-host': own },
      { host: own, origin: EVIL, 'x-forwarded-host': 'evil.example' },
    ] as Headers[])
      expectProblem(await plan(headers), REFUSED)
  })

  it('of a preflight is checked too', async () => {
    const asked = { 'access-control-request-method': 'DELETE' }
    const preflight = (origin: string) =>
      running.client.send('options', '/v1/models/net', { origin, ...asked })
    const refused = await preflight(EVIL)
    expectProblem(refused, REFUSED)
    expect(refused.headers).not.toHaveProperty('access-control-allow-origin')
    expect(await preflight(NAMED)).toMatchObject({
      status: 204,
      headers: { 'access-control-allow-origin': NAMED },
    })
  })
})

describe('a link on a page of another site', () => {
  it.each(['/', '/docs', '/docs/', '/openapi.json', '/livez', '/readyz'])('opens %s', async (path) => {
    expect((await running.client.get(path, { ...VISIT, ...HTML })).status).toBe(200)
    expect((await running.client.send('head', path, { ...VISIT, ...HTML })).status).toBe(200)
  })

  it.each([
    ['to data', 'get', '/v1/models', VISIT],
    ['to nothing', 'get', '/nothing', VISIT],
    ['in a frame', 'get', '/', { ...VISIT, 'sec-fetch-dest': 'iframe' }],
    ['as an image', 'get', '/', { ...VISIT, 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' }],
    ['with a form', 'post', '/', { ...VISIT, origin: EVIL }],
    ['read by a script', 'get', '/livez', { origin: EVIL, 'sec-fetch-mode': 'cors' }],
  ] as const)('does not open %s', async (_, method, path, headers: Headers) => {
    expectProblem(await running.client.send(method, path, { ...HTML, ...headers }), REFUSED)
  })
})

describe('the Host', () => {
  it.each([
    ...['localhost', 'LocalHost', 'localhost.', 'localhost:8080', 'localhost:', 'a.localhost'],
    ...['127.0.0.1', '127.0.0.1:1', '127.255.255.254', '[::1]', '[::1]:8080', '[0:0:0:0:0:0:0:1]'],
    ...['[::ffff:127.0.0.1]', '[::FFFF:7F00:1]:80'],
  ])('%s is this machine', async (host) => {
    expect((await list({ host })).status).toBe(200)
  })

  it.each([
    ...['evil.example', 'evil.example:8080', 'localhost.evil.com', 'localhost.evil.com.', 'xlocalhost'],
    ...['127.0.0.1.nip.io', '127.0.0.1.evil.com:8080', '127-0-0-1.sslip.io', 'localhost.localhost.evil'],
    ...[
      'evil.example@localhost',
      'localhost@evil.example',
      'localhost/',
      'localhost#',
      'localhost,evil.example',
    ],
    ...['localhost:80:80', 'localhost:80@evil.example', '[::1]evil.example', '[::1', '::1', '[localhost]'],
    ...['0.0.0.0', '[::]', '128.0.0.1', '10.0.0.1', '[::ffff:10.0.0.1]', '[fe80::1]', '[::127.0.0.1]'],
    ...[
      '2130706433',
      '0x7f000001',
      '0177.0.0.1',
      '127.1',
      '127.0.0.1..',
      'localhost..',
      '.localhost.com',
      ' ',
    ],
  ])('%j is not', async (host) => {
    expectProblem(await list({ host }), { ...REFUSED, says: /is not a name of this machine/ })
  })

  it('may be missing in HTTP/1.0, which no browser sends', async () => {
    const { hostname, port } = new URL(running.client.url)
    const socket = connect(Number(port), hostname)
    socket.write('GET /v1/models HTTP/1.0\r\n\r\n')
    expect((await socket.toArray()).join('')).toMatch(/^HTTP\/1.1 200 /)
  })
})

it('CORS_ORIGINS=* accepts every origin, under the names of this machine', async () => {
  const open = await startService({ CORS_ORIGINS: '*' })
  try {
    const post = (headers: Headers) => open.client.post('/v1/plans', tiny, headers)
    for (const headers of [
      { origin: EVIL },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
    ] as Headers[])
      expect((await post(headers)).status).toBe(200)
    expectProblem(await post({ origin: EVIL, host: 'evil.example' }), REFUSED)
  } finally {
    await open.close()
  }
})

it('a service with keys checks only the keys', async () => {
  const locked = await startService({ HOST: '0.0.0.0' })
  try {
    const cross = { origin: EVIL, 'sec-fetch-site': 'cross-site', host: 'evil.example' }
    const key = { authorization: `Bearer ${locked.service.key ?? ''}` }
    expectProblem(await locked.client.get('/v1/models', cross), { status: 401, code: 'UNAUTHORIZED' })
    expect((await locked.client.get('/v1/models', { ...cross, ...key })).status).toBe(200)
    expect((await locked.client.post('/v1/plans', tiny, { ...cross, ...key })).status).toBe(200)
  } finally {
    await locked.close()
  }
})

describe('a service on all addresses without keys', () => {
  let wide: ServiceProcess
  let folder: string
  beforeAll(async () => {
    folder = await temporaryFolder()
    wide = await startProcess({ HOST: '0.0.0.0', ALLOW_ANONYMOUS: 'true', DATA_DIR: folder })
  })
  afterAll(async () => {
    await wide.stop()
    await rm(folder, { recursive: true })
  })
  /** The status of a GET on loopback under another Host. */
  const status = (headers: Headers): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const { port } = new URL(wide.client.url)
      httpRequest({ host: '127.0.0.1', port, path: '/v1/models', headers }, (response) => {
        response.resume()
        resolve(response.statusCode)
      })
        .on('error', reject)
        .end()
    })

  it('accepts any Host, and rejects pages of other sites', async () => {
    expect(await status({ host: 'models.example.com' })).toBe(200)
    expect(await status({ host: 'models.example.com', origin: 'https://models.example.com' })).toBe(200)
    expect(await status({ host: 'models.example.com', origin: EVIL })).toBe(403)
    expect(await status({ host: 'models.example.com', 'sec-fetch-site': 'cross-site' })).toBe(403)
  })
})

describe('HOST', () => {
  it('is a name of the service, of any form', async () => {
    const called = await startService({ HOST: 'models.internal', ALLOW_ANONYMOUS: 'true' })
    try {
      for (const host of ['models.internal', 'Models.Internal.:8080', 'localhost'])
        expect((await called.client.get('/v1/models', { host })).status, host).toBe(200)
      expectProblem(await called.client.get('/v1/models', { host: 'x.models.internal' }), REFUSED)
    } finally {
      await called.close()
    }
  })
})
