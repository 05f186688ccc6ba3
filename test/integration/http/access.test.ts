import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { hashKey, generateKey, type KeyLine } from '../../../src/http/shared/api-keys.ts'
import type { Client } from '../../support/client.ts'
import { isForeign, openapi } from '../../support/contract.ts'
import { tiny } from '../../support/networks.ts'
import { expectForeignError, expectProblem, type Refusal } from '../../support/problems.ts'
import { startService, temporaryFolder, type RunningService } from '../../support/service.ts'

const SCOPES = ['predict', 'read', 'manage'] as const
/** Requests of this file without a valid key stay far below it. */
const ADDRESS_LIMIT = 1200

const keys = {
  ...{ reader: generateKey(), predictor: generateKey(), manager: generateKey() },
  ...{ expired: generateKey(), hurried: generateKey(), early: generateKey(), late: generateKey() },
}
const lineOf = (name: keyof typeof keys, fields: Partial<KeyLine>): string =>
  JSON.stringify({
    ...{ name, sha256: hashKey(keys[name]).toString('hex'), scopes: SCOPES, rate_limit: 'off' },
    ...fields,
  })
const always = [
  lineOf('reader', { scopes: ['read'] }),
  lineOf('predictor', { scopes: ['predict'] }),
  lineOf('manager', { scopes: ['manage'], expires: '2999-01-01' }),
  lineOf('expired', { expires: '2020-01-01T00:00:00Z' }),
  lineOf('hurried', { rate_limit: '3/hour' }),
]
const bearer = (key: string) => ({ authorization: `Bearer ${key}` })
const holderOf = { read: keys.reader, predict: keys.predictor, manage: keys.manager }

let folder: string
let running: RunningService
let client: Client

/** The layout of a Kubernetes volume: the file links into a folder link, and the folder link is replaced. */
async function publish(version: string, text: string): Promise<void> {
  await mkdir(join(folder, version))
  await writeFile(join(folder, version, 'keys'), text)
  await symlink(version, join(folder, '..data_tmp'))
  await rename(join(folder, '..data_tmp'), join(folder, '..data'))
}

beforeAll(async () => {
  folder = await temporaryFolder()
  await publish('..1', [...always, lineOf('early', {})].join('\n'))
  await symlink('..data/keys', join(folder, 'keys'))
  running = await startService({
    API_KEYS_FILE: join(folder, 'keys'),
    RATE_LIMIT: `${String(ADDRESS_LIMIT)}/hour`,
    CORS_ORIGINS: 'https://app.example.com,https://other.example.com',
  })
  client = running.client
})
afterAll(async () => {
  await running.close()
  await rm(folder, { recursive: true })
})

const CHANGES = [
  ...['createModel', 'nameModel', 'deleteModel', 'loadModel', 'unloadModel'],
  ...['createExperiment', 'deleteExperiment'],
]
const PREDICTS = [
  'predict',
  'inferModel',
  'inferModelVersion',
  'runModelSignature',
  'runModelVersionSignature',
]
const OPEN = ['getRoot', 'checkLive', 'checkReady', 'checkServerLive', 'checkServerReady']

const listed = Object.entries(openapi.paths).flatMap(([path, operations]) =>
  Object.entries(operations).flatMap(([method, operation]) => {
    const scope = operation['x-required-scope']
    return [method, ...(method === 'get' ? ['head'] : [])].map((sent) => ({ sent, path, operation, scope }))
  }),
)
const guarded = [
  ...listed.flatMap(({ sent, path, scope }) => (scope === undefined ? [] : [{ sent, path, scope }])),
  { sent: 'get', path: '/v2/', scope: 'read' as const },
  ...['classify', 'regress'].flatMap((verb) =>
    ['/v1/models/x', '/v1/models/x/versions/1'].map((model) => ({
      ...{ sent: 'post', path: `${model}:${verb}`, scope: 'predict' as const },
    })),
  ),
]

it('the document names the required scope of every operation', () => {
  for (const { path, operation, scope } of listed) {
    const { operationId = '' } = operation
    if (OPEN.includes(operationId)) {
      expect([operation.security, scope], path).toEqual([[], undefined])
      continue
    }
    const expected = CHANGES.includes(operationId)
      ? 'manage'
      : PREDICTS.includes(operationId)
        ? 'predict'
        : 'read'
    expect([operation.security, scope], path).toEqual([undefined, expected])
    expect(operation.responses).toMatchObject({ 401: expect.anything(), 403: expect.anything() })
  }
  const known = new Set(listed.map(({ operation }) => operation.operationId))
  expect([...CHANGES, ...PREDICTS, ...OPEN].filter((id) => !known.has(id))).toEqual([])
})

describe.each(guarded)('$sent $path', ({ sent, path, scope }) => {
  const wanted = path.replaceAll(/\{[^}]+\}/g, 'x')
  const send = (headers: Record<string, string>) => client.send(sent as 'get', wanted, headers)
  const refused = async (
    headers: Record<string, string>,
    refusal: Refusal & { says: RegExp },
  ): Promise<void> => {
    const answer = await send(headers)
    if (sent === 'head') expect(answer.status).toBe(refusal.status)
    else if (isForeign(wanted)) expectForeignError(answer, refusal)
    else expectProblem(answer, refusal)
  }

  it('rejects requests without a valid key', async () => {
    const unauthorized = { status: 401, code: 'UNAUTHORIZED', says: /Authorization: Bearer/ } as const
    await refused({}, unauthorized)
    await refused(bearer('wrong'), unauthorized)
    await refused({ 'x-api-key': generateKey() }, unauthorized)
    await refused({ authorization: `Basic ${keys.reader}` }, unauthorized)
    await refused(bearer(hashKey(holderOf[scope]).toString('hex')), unauthorized)
    await refused(bearer(keys.expired), { ...unauthorized, says: /"expired" has expired/ })
  })

  it('accepts keys with its scope only', async () => {
    for (const other of SCOPES.filter((one) => one !== scope)) {
      const says = new RegExp(`requires the scope "${scope}"; the key "\\w+" has "${other}"`)
      await refused(bearer(holderOf[other]), { status: 403, code: 'FORBIDDEN', says })
    }
    expect([401, 403]).not.toContain((await send(bearer(holderOf[scope]))).status)
  })
})

describe('no spelling of a path bypasses authentication:', () => {
  /** Sends a path unchanged; clients normalize it. */
  const raw = (method: string, path: string): Promise<{ status: number; text: string }> =>
    new Promise((resolve, reject) => {
      const { hostname, port } = new URL(client.url)
      const request = httpRequest({ hostname, port, method, path }, (response) => {
        let text = ''
        response.on('data', (chunk: Buffer) => (text += chunk.toString()))
        response.on('end', () => {
          resolve({ status: response.statusCode ?? 0, text })
        })
      })
      request.on('error', reject).end()
    })

  it.each([
    ...[
      '//v1/models',
      '/V1/models',
      '/v1//models',
      '/v1/models/',
      '/v1/Models',
      '/%761/models',
      '/v1%2Fmodels',
    ],
    ...['/v1/%6dodels', '/livez/../v1/models', '/livez/%2e%2e/v1/models', '/livez%2f..%2fv1%2fmodels'],
    ...[
      '/docs/../v1/models',
      '/docs/%2e%2e/v1/models',
      '/docs/..%2fv1%2fmodels',
      '/docs/static/../../v1/models',
    ],
    ...[
      '/page/../v1/models',
      '/page/%2e%2e/v1/models',
      '/openapi.json/../v1/models',
      '/openapi.json%3f/v1/models',
    ],
    ...[
      '/v1/models?/livez',
      '/v1/models?x=/docs/',
      '/v1/models%3f/livez',
      '/v1/models;/livez',
      '/v1/models%00',
    ],
    ...[
      '/livez;/v1/models/',
      '/v1/models%23/livez',
      '/\\v1/models',
      '/./v1/models',
      '/v2/health/live/../../models',
    ],
    ...[
      '/v2/models?/v2/health/live',
      '/V2/models',
      '//v2/models',
      '/v2/health/ready/',
      '/metrics?',
      '//metrics',
    ],
    ...['http://localhost/v1/models', 'http://localhost/livez/../v1/models', '/v1/models/%2e%2e'],
  ])('%s', async (path) => {
    for (const method of ['GET', 'HEAD', 'POST', 'DELETE', 'PATCH', 'PROPFIND', 'QUERY']) {
      const { status, text } = await raw(method, path)
      expect([400, 401, 404], `${method} ${text}`).toContain(status)
      expect(text).not.toMatch(/"models"|resinit_requests/)
    }
  })

  it('open routes reveal no models', async () => {
    for (const path of [
      '/',
      '/livez',
      '/readyz',
      '/openapi.json',
      '/docs',
      '/v2/health/live',
      '/v2/health/ready',
    ])
      expect((await raw('GET', path)).status).toBe(200)
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
      expect((await raw(method, '/livez')).status).toBe(401)
      expect((await raw(method, '/')).status).toBe(401)
    }
  })
})

it('pages of other origins are accepted if CORS_ORIGINS names them, preflights without a key', async () => {
  const asked = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'x-api-key' }
  const [named, other] = await Promise.all(
    ['https://other.example.com', 'https://evil.example.com'].map((origin) =>
      client.send('options', '/v1/models', { origin, ...asked }),
    ),
  )
  expect(named).toMatchObject({
    status: 204,
    headers: {
      'access-control-allow-origin': 'https://other.example.com',
      'access-control-allow-headers': 'x-api-key',
      'access-control-allow-methods': expect.stringContaining('DELETE'),
    },
  })
  expect(named?.headers).not.toHaveProperty('access-control-allow-credentials')
  expect(other?.headers).not.toHaveProperty('access-control-allow-origin')
  const refused = await client.get('/v1/models', { origin: 'https://app.example.com' })
  expectProblem(refused, { status: 401, code: 'UNAUTHORIZED' })
  expect(refused.headers['access-control-allow-origin']).toBe('https://app.example.com')
  const answer = await client.get('/v1/models', { origin: 'https://app.example.com', ...bearer(keys.reader) })
  expect(answer.headers['access-control-expose-headers']).toContain('X-Request-Id')
})

describe('rotation', () => {
  const statusOf = async (key: string): Promise<number> =>
    (await client.get('/v1/models', bearer(key))).status
  const becomes = (key: string, status: number): Promise<void> =>
    vi.waitFor(
      async () => {
        expect(await statusOf(key)).toBe(status)
      },
      { timeout: 15_000, interval: 100 },
    )

  it('by a volume that swaps links, under load: a key in both files never fails', async () => {
    await client.send(
      'post',
      '/v1/models',
      { ...bearer(keys.manager), 'content-type': 'application/json' },
      JSON.stringify({ ...tiny, name: 'net' }),
    )
    expect([await statusOf(keys.early), await statusOf(keys.late)]).toEqual([200, 401])
    let rotating = true
    const statuses: number[] = []
    const load = Array.from({ length: 4 }, async () => {
      while (rotating) statuses.push(await statusOf(keys.reader))
    })
    await publish('..2', [...always, lineOf('early', {}), lineOf('late', {})].join('\n'))
    await becomes(keys.late, 200)
    expect(await statusOf(keys.early)).toBe(200)
    await publish('..3', [...always, lineOf('late', {})].join('\n'))
    await becomes(keys.early, 401)
    expect(await statusOf(keys.late)).toBe(200)
    rotating = false
    await Promise.all(load)
    expect(statuses.length).toBeGreaterThan(100)
    expect(statuses.filter((status) => status !== 200)).toEqual([])
  })

  it('a torn, wrong or missing file changes nothing and is logged, once', async () => {
    const error = vi.spyOn(running.service.logger, 'error')
    const complaints = () => error.mock.calls.map(([said]) => (said as { problem: string }).problem)
    const whole = [...always, lineOf('early', {})].join('\n')
    const wrong: Record<string, RegExp> = {
      [whole.slice(0, -20)]: /^line 6 is not a JSON object/,
      '': /^it has no key/,
      [whole.replace('"read"', '"reed"')]: /^line 1: scopes\/0 must be one of/,
    }
    let version = 4
    for (const [text, says] of Object.entries(wrong)) {
      const before = complaints().length
      await publish(`..${String(version)}`, text)
      version += 1
      await vi.waitFor(
        () => {
          expect(complaints()).toHaveLength(before + 1)
        },
        { timeout: 15_000 },
      )
      expect(complaints().at(-1)).toMatch(says)
      expect([await statusOf(keys.late), await statusOf(keys.early)]).toEqual([200, 401])
    }
    await rm(join(folder, '..data'))
    await vi.waitFor(
      () => {
        expect(complaints().at(-1)).toMatch(/ENOENT/)
      },
      { timeout: 15_000 },
    )
    // The file is read again without another log line.
    await new Promise((resolve) => setTimeout(resolve, 2500))
    expect(complaints()).toHaveLength(4)
    expect(await statusOf(keys.late)).toBe(200)
    error.mockRestore()
    await publish(`..${String(version)}`, whole)
    await becomes(keys.early, 200)
    expect(await statusOf(keys.late)).toBe(401)
  })
})

describe('rate limits', () => {
  it('a key has its own limit over all routes', async () => {
    const answers = []
    for (const path of ['/v1/models', '/v2/models', '/v1/initializers', '/v1/models'])
      answers.push(await client.get(path, bearer(keys.hurried)))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429])
    const [, , , limited] = answers
    if (limited)
      expectProblem(limited, { status: 429, code: 'RATE_LIMITED', says: /"hurried" may send 3 requests/ })
    expect(Number(limited?.headers['retry-after'])).toBeGreaterThan(3000)
    expectForeignError(await client.get('/v2/models', bearer(keys.hurried)), {
      status: 429,
      says: /try again in/,
    })
    expect((await client.get('/v1/models', bearer(keys.reader))).status).toBe(200)
  })

  it('an address without a valid key has RATE_LIMIT; probes and keys are not counted', async () => {
    const { app } = running.service
    let guesses = 0
    for (;;) {
      const { statusCode } = await app.inject({
        url: '/v1/models',
        headers: { 'x-api-key': String(guesses) },
      })
      if (statusCode === 429) break
      expect(statusCode).toBe(401)
      guesses += 1
      expect(guesses).toBeLessThanOrEqual(ADDRESS_LIMIT)
    }
    expectProblem(await client.get('/docs'), {
      status: 429,
      code: 'RATE_LIMITED',
      says: /this address may send/,
    })
    expect((await client.get('/v1/models', bearer(keys.reader))).status).toBe(200)
    for (const path of ['/livez', '/readyz', '/v2/health/live', '/v2/health/ready'])
      expect((await client.get(path)).status).toBe(200)
  }, 60_000)
})
