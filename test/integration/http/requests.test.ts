import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Answer, ModelBody } from '../../support/client.ts'
import { openapi } from '../../support/contract.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem, type Refusal } from '../../support/problems.ts'
import { startService, type RunningService } from '../../support/service.ts'

let running: RunningService
let model: ModelBody
beforeAll(async () => {
  running = await startService({ MAX_BODY_BYTES: '20000' })
  model = await running.client.create({ ...tiny, name: 'net' })
})
afterAll(() => running.close())

const json = 'application/json'
const formStart = '--x\r\nContent-Disposition: form-data; name="weights"; filename="a"\r\n\r\nabc'
type Call = readonly [
  'get' | 'post' | 'put' | 'delete' | 'patch' | 'options',
  string,
  Record<string, string>?,
  string?,
]
const refused: Record<string, readonly [Call, Refusal]> = {
  'malformed JSON': [
    ['post', '/v1/models', { 'content-type': json }, '{"architecture": '],
    { status: 400, code: 'MALFORMED_REQUEST', says: /JSON/ },
  ],
  'an empty body that should be JSON': [
    ['post', '/v1/models', { 'content-type': json }],
    { status: 400, code: 'MALFORMED_REQUEST', says: /empty/ },
  ],
  'a body of null': [
    ['post', '/v1/plans', { 'content-type': json }, 'null'],
    { status: 422, code: 'INVALID_REQUEST', pointer: '#', says: /must be object, got null/ },
  ],
  'a field with a meaning in JavaScript': [
    ['post', '/v1/plans', { 'content-type': json }, '{"__proto__": {"a": 1}, "architecture": "resnet20"}'],
    { status: 422, code: 'INVALID_REQUEST', pointer: '#/__proto__', says: /not a known field/ },
  ],
  'no body at all': [['post', '/v1/models'], { status: 400, code: 'MALFORMED_REQUEST', says: /empty/ }],
  'no body for a name': [['put', '/v1/models/a'], { status: 400, code: 'MALFORMED_REQUEST', says: /empty/ }],
  'a specification as text': [
    ['post', '/v1/models', { 'content-type': 'text/plain' }, JSON.stringify(tiny)],
    { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE', says: /application\/json/ },
  ],
  'a specification as a form': [
    ['post', '/v1/models', { 'content-type': 'application/x-www-form-urlencoded' }, JSON.stringify(tiny)],
    { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE', says: /application\/json/ },
  ],
  'a plan as text': [
    ['post', '/v1/plans', { 'content-type': 'text/plain' }, JSON.stringify(tiny)],
    { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE', says: /application\/json/ },
  ],
  'a tensor request as a form': [
    [
      'post',
      '/v1/initializers/zeros/statistics',
      { 'content-type': 'application/x-www-form-urlencoded' },
      '{}',
    ],
    { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE', says: /application\/json/ },
  ],
  'a text as an image': [
    ['post', '/v1/models/net/predict', { 'content-type': 'text/plain' }, 'cat'],
    { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE', says: /image\/jpeg/ },
  ],
  'a form without a boundary': [
    ['post', '/v1/models/net/predict', { 'content-type': 'multipart/form-data' }, 'x'],
    { status: 400, code: 'MALFORMED_REQUEST', says: /boundary/i },
  ],
  'a form that ends early': [
    ['post', '/v1/models/net/predict', { 'content-type': 'multipart/form-data; boundary=x' }, formStart],
    { status: 400, code: 'MALFORMED_REQUEST', says: /form/ },
  ],
  'weights that end early': [
    ['post', '/v1/models', { 'content-type': 'multipart/form-data; boundary=x' }, formStart],
    { status: 400, code: 'MALFORMED_REQUEST', says: /form/ },
  ],
  'a body above the limit': [
    ['post', '/v1/models', { 'content-type': json }, `{"name": "${'a'.repeat(20_000)}"}`],
    { status: 413, code: 'BODY_TOO_LARGE', says: /MAX_BODY_BYTES/ },
  ],
  'an unknown route': [['get', '/v1/modls'], { status: 404, code: 'ROUTE_NOT_FOUND', says: /openapi\.json/ }],
  'an unknown model': [
    ['get', '/v1/models/nobody'],
    { status: 404, code: 'MODEL_NOT_FOUND', says: /nobody/ },
  ],
  'an unknown id': [['delete', `/v1/models/${'0'.repeat(64)}`], { status: 404, code: 'MODEL_NOT_FOUND' }],
  'an id prefix that is too short': [
    ['get', `/v1/models/0123456789a`],
    { status: 404, code: 'MODEL_NOT_FOUND' },
  ],
  'an unknown initializer': [
    ['get', '/v1/initializers/he_norml'],
    { status: 404, code: 'INITIALIZER_NOT_FOUND', says: /did you mean "he_normal"\?/ },
  ],
  'a path that is not UTF-8': [['get', '/v1/models/%zz'], { status: 400, code: 'MALFORMED_REQUEST' }],
  'a path that is too long': [
    ['get', `/v1/models/${'a'.repeat(2000)}`],
    { status: 400, code: 'MALFORMED_REQUEST' },
  ],
  'an unsupported format': [
    ['get', '/v1/models/net/weights', { accept: 'image/png' }],
    { status: 406, code: 'NOT_ACCEPTABLE', says: /application\/vnd\.safetensors/ },
  ],
  'an unknown query field': [
    ['get', '/v1/models?limt=5'],
    { status: 422, code: 'INVALID_REQUEST', pointer: '#/limt', says: /did you mean "limit"\?/ },
  ],
  'a limit that is not a number': [
    ['get', '/v1/models?limit=many'],
    { status: 422, code: 'INVALID_REQUEST', pointer: '#/limit', says: /integer/ },
  ],
  'an invalid cursor': [
    ['get', '/v1/models?cursor=abc'],
    { status: 422, code: 'INVALID_REQUEST', pointer: '#/cursor', says: /next_cursor/ },
  ],
  'an empty cursor': [
    ['get', '/v1/models?cursor='],
    { status: 422, code: 'INVALID_REQUEST', pointer: '#/cursor', says: /next_cursor/ },
  ],
  'a cursor in hexadecimal': [
    ['get', '/v1/initializers?cursor=0x1'],
    { status: 422, code: 'INVALID_REQUEST', pointer: '#/cursor' },
  ],
  'an empty glob': [
    ['get', '/v1/models/net/statistics?parameters='],
    { status: 422, code: 'INVALID_REQUEST', pointer: '#/parameters' },
  ],
  'an empty glob of weights': [
    ['get', '/v1/models/net/weights?parameters='],
    { status: 422, code: 'INVALID_REQUEST', pointer: '#/parameters' },
  ],
  'a malformed body with an unsupported method': [
    ['patch', '/v1/models', { 'content-type': json }, '{"architecture": '],
    { status: 405, code: 'METHOD_NOT_ALLOWED', says: /GET or HEAD or POST/ },
  ],
  'a file that does not exist': [['get', '/docs/static/nothing'], { status: 404, code: 'ROUTE_NOT_FOUND' }],
  'an unknown model with a long name': [
    ['get', `/v1/models/${'a'.repeat(200)}`],
    { status: 404, code: 'MODEL_NOT_FOUND' },
  ],
  'a long name': [
    ['put', `/v1/models/${'a'.repeat(200)}`, { 'content-type': json }, JSON.stringify(tiny)],
    { status: 422, code: 'INVALID_REQUEST', pointer: '#/name' },
  ],
  'a name like an id in capitals': [
    ['put', `/v1/models/${'A'.repeat(64)}`, { 'content-type': json }, JSON.stringify(tiny)],
    { status: 422, code: 'INVALID_REQUEST', pointer: '#/name', says: /id/ },
  ],
  'a glob that matches nothing': [
    ['get', '/v1/models/net/statistics?parameters=nothing'],
    { status: 422, code: 'INVALID_REQUEST', pointer: '#/parameters' },
  ],
  'a name of dots': [
    ['put', '/v1/models/%2E%2E', { 'content-type': json }, JSON.stringify(tiny)],
    { status: 422, code: 'INVALID_REQUEST', pointer: '#/name' },
  ],
}

describe('rejected without harm:', () => {
  it.each(Object.entries(refused))('%s', async (_, [[method, path, headers = {}, body], refusal]) => {
    expectProblem(await running.client.send(method, path, headers, body), refusal)
    expect((await running.client.get('/v1/models/net')).json).toMatchObject({ id: model.id, state: 'ready' })
  })

  it.each([
    ['delete', '/v1/plans', 'POST'],
    ['patch', '/v1/models/net', 'GET, HEAD, PUT, DELETE'],
    ['put', '/v1/initializers', 'GET, HEAD'],
    ['options', '/v1/models', 'GET, HEAD, POST'],
    ['get', '/v1/models/net/predict', 'POST'],
  ] as const)('%s on %s, with the allowed methods', async (method, path, allow) => {
    const answer = await running.client.send(method, path, {})
    expectProblem(answer, { status: 405, code: 'METHOD_NOT_ALLOWED' })
    expect(answer.headers['allow']).toBe(allow)
  })
})

/** Sends text unchanged, and reads until the service closes the connection. */
async function raw(text: string): Promise<string> {
  const { hostname, port } = new URL(running.client.url)
  const socket = connect(Number(port), hostname)
  socket.end(text)
  return (await socket.toArray()).join('')
}

describe('rejected while the head is parsed:', () => {
  const end = 'connection: close\r\n\r\n'
  it.each([
    ['another protocol', 'HELO mail\r\n\r\n', 400, 'MALFORMED_REQUEST'],
    [
      'headers above the limit',
      `GET /livez HTTP/1.1\r\nhost: localhost\r\nx-long: ${'a'.repeat(20_000)}\r\n${end}`,
      431,
      'HEADERS_TOO_LARGE',
    ],
    ['no host', `GET /livez HTTP/1.1\r\n${end}`, 400, 'MALFORMED_REQUEST'],
    [
      'an unsupported expectation',
      `GET /livez HTTP/1.1\r\nhost: localhost\r\nexpect: a-miracle\r\n${end}`,
      417,
      'EXPECTATION_FAILED',
    ],
  ])('%s', async (_, text, status, code) => {
    const answer = await raw(text)
    const [head = '', body = ''] = answer.split('\r\n\r\n')
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${String(status)} `))
    expect(head).toMatch(/^content-type: application\/problem\+json/im)
    expect(head).toMatch(/^x-request-id: [0-9a-f-]{36}$/im)
    expect(JSON.parse(body)).toMatchObject({ status, code })
    expect((await running.client.get('/livez')).status).toBe(200)
  })

  it('a head without an end', async () => {
    // Node waits for minutes; this emits the timeout at once.
    const { server } = running.service.app
    server.once('connection', (socket) => {
      const late = Object.assign(new Error('Request timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' })
      setImmediate(() => server.emit('clientError', late, socket))
    })
    const answer = await raw('GET /livez HTTP/1.1\r\nhost: localhost\r\nx-half')
    expect(answer).toMatch(/^HTTP\/1.1 408 /)
    expect(answer).toContain('REQUEST_TIMEOUT')
  })

  it('HTTP/1.0 needs no Host', async () => {
    expect(await raw('GET /livez HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1.1 200 /)
  })
})

describe('X-Request-Id', () => {
  it("is the client's, also on errors", async () => {
    for (const path of ['/livez', '/nowhere', '/v1/models/%zz']) {
      const { headers } = await running.client.get(path, { 'x-request-id': 'trace:7.a_b-c' })
      expect(headers['x-request-id']).toBe('trace:7.a_b-c')
    }
  })

  it('replaces an id that is unsafe to log', async () => {
    const { headers } = await running.client.get('/livez', { 'x-request-id': 'a "b" c' })
    expect(headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/)
  })
})

describe('HEAD', () => {
  const values: Readonly<Record<string, string>> = { model: 'net', version: '1', name: 'zeros' }
  const paths = Object.entries(openapi.paths)
    .filter(([, operations]) => 'get' in operations)
    .map(([path]) => path.replaceAll(/\{(\w+)\}/g, (_, name: string) => values[name] ?? name))

  let experiment: string
  beforeAll(async () => {
    const body = { initializers: ['zeros'], learning_rates: [0.1], seeds: [0], steps: 1, batch_size: 8 }
    const { json } = await running.client.post('/v1/experiments', body)
    experiment = (json as { id: string }).id
  })
  afterAll(() => running.client.send('delete', `/v1/experiments/${experiment}`, {}))

  it.each(paths)('%s returns the headers of GET without a body', async (declared) => {
    const path = declared.replace(/experiments\/id$/, `experiments/${experiment}`)
    const headOf = ({ status, headers }: Answer) => [status, headers['content-type'], headers['etag']]
    const [whole, head] = [await running.client.get(path), await running.client.send('head', path, {})]
    expect(whole.status).toBe(200)
    expect(headOf(head)).toEqual(headOf(whole))
    expect(head.bytes).toHaveLength(0)
  })
})
