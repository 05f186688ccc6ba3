import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Answer, ProblemBody } from '../../support/client.ts'
import { tiny } from '../../support/networks.ts'
import { expectForeignError, expectProblem } from '../../support/problems.ts'
import { startService, type RunningService } from '../../support/service.ts'

const MAX_CONNECTIONS = 40
const json = { 'content-type': 'application/json' }

let running: RunningService
beforeAll(async () => {
  running = await startService({
    HEAD_TIMEOUT_MS: '1000',
    UPLOAD_TIMEOUT_MS: '3000',
    MAX_CONNECTIONS: String(MAX_CONNECTIONS),
  })
  await running.client.create({ ...tiny, name: 'net' })
})
afterAll(() => running.close())

/** The longest pause of the event loop during a call; test and service share the process. */
async function longestPause(call: () => Promise<unknown>): Promise<number> {
  let [longest, last] = [0, performance.now()]
  const timer = setInterval(() => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
  }, 5)
  await call()
  clearInterval(timer)
  return longest
}

describe('10 MB of brackets are rejected while they are counted:', () => {
  const deep = '['.repeat(10_000_000)
  const says = /nested deeper than 64 levels/

  it.each([
    ...([
      '/v1/plans',
      '/v1/models',
      '/v1/comparisons',
      '/v1/models/net/signals',
      '/v1/models/net/predict',
    ] as const),
    '/v1/initializers/zeros/statistics',
    '/v1/initializers/zeros/sample',
  ])('%s', async (path) => {
    let answer: Answer | undefined
    const pause = await longestPause(
      async () => (answer = await running.client.upload(path, deep, json['content-type'])),
    )
    if (answer) expectProblem(answer, { status: 400, code: 'MALFORMED_REQUEST', says })
    expect(pause).toBeLessThan(1000)
  })

  it('PUT /v1/models/{model}, and a prediction without a type', async () => {
    const { client } = running
    const refusal = { status: 400, code: 'MALFORMED_REQUEST', says } as const
    expectProblem(await client.send('put', '/v1/models/net', json, deep), refusal)
    expectProblem(await client.upload('/v1/models/net/predict', `{"instances":${deep}`), refusal)
  })

  it('the part "spec" of a form, whatever its type', async () => {
    for (const filename of [{}, { filename: 'spec.json' }]) {
      const answer = await running.client.form('/v1/models', [{ name: 'spec', value: deep, ...filename }])
      expectProblem(answer, { status: 400, code: 'MALFORMED_REQUEST', says })
    }
    const body = `--x\r\nContent-Disposition: form-data; name="spec"\r\nContent-Type: application/json\r\n\r\n${deep}\r\n--x--\r\n`
    const answer = await running.client.upload('/v1/models', body, 'multipart/form-data; boundary=x')
    expectProblem(answer, { status: 400, code: 'MALFORMED_REQUEST', says })
  })

  it.each([
    ...['/v2/models/net/infer', '/v1/models/net:predict', '/v2/repository/index'],
    ...['/v2/repository/models/net/load', '/v2/repository/models/net/unload'],
  ])('%s', async (path) => {
    expectForeignError(await running.client.upload(path, deep, json['content-type']), { status: 400, says })
  })
})

describe('repeated errors are reported a limited number of times:', () => {
  const plan = (text: string): Promise<Answer> =>
    running.client.upload('/v1/plans', `{"architecture":${text}}`, json['content-type'])

  it.each([
    ['items of another type', `{"stages":[${'0,'.repeat(300_000)}0]}`],
    ['records of unknown fields', `{"stages":[${'{"a":0},'.repeat(49_000)}0]}`],
    ['unknown fields', `{${Array.from({ length: 49_000 }, (_, index) => `"f${String(index)}":0`).join()}}`],
    ['texts for numbers', `{"stages":[${'{"blocks":"1","filters":"1"},'.repeat(5000)}0]}`],
  ])('%s', async (_, text) => {
    let answer: Answer | undefined
    const pause = await longestPause(async () => (answer = await plan(text)))
    const { errors = [] } = answer?.json as ProblemBody
    expect(answer?.status).toBe(422)
    expect(errors.length).toBeGreaterThan(0)
    expect(errors.length).toBeLessThanOrEqual(100)
    expect(answer?.bytes.length).toBeLessThan(50_000)
    expect(pause).toBeLessThan(5000)
  })

  it('a name of a megabyte', async () => {
    const long = 'n'.repeat(1_000_000)
    for (const text of [`"${long}"`, `{"${long}":1}`, `{"preset":"${long}"}`]) {
      const answer = await plan(text)
      expect(answer.status).toBe(422)
      expect(answer.bytes.length).toBeLessThan(5000)
    }
    const answer = await running.client.post('/v1/plans', {
      architecture: 'resnet20',
      initializers: { kernel: long },
    })
    expect([answer.status, answer.bytes.length < 5000]).toEqual([422, true])
  })
})

describe('forms:', () => {
  const part = (name: string, more = ''): string =>
    `--x\r\nContent-Disposition: form-data; name="${name}"; filename="a"\r\n${more}\r\nabc\r\n`
  const send = (path: string, parts: string): Promise<Answer> =>
    running.client.upload(path, `${parts}--x--\r\n`, 'multipart/form-data; boundary=x')

  it.each(['/v1/models/net/predict', '/v1/models', '/v1/models/net/signals', '/v1/weights/statistics'])(
    'too many parts, to %s',
    async (path) => {
      const answer = await send(path, part('images').repeat(20_000))
      expect([413, 422]).toContain(answer.status)
    },
  )

  it.each(['/v1/models/net/predict', '/v1/models', '/v1/models/net/signals', '/v1/weights/statistics'])(
    'a part with too long or too many headers, to %s',
    async (path) => {
      for (const more of [`X-Long: ${'a'.repeat(1_000_000)}\r\n`, 'X-Many: a\r\n'.repeat(10_000)]) {
        const answer = await send(path, part('images', more))
        expect(answer.status).toBeGreaterThanOrEqual(400)
        expect(answer.status).toBeLessThan(500)
        expect(answer.bytes.length).toBeLessThan(10_000)
      }
    },
  )

  it('a name as long as its header may be', async () => {
    const answer = await send('/v1/models', part('n'.repeat(100_000)))
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(answer.bytes.length).toBeLessThan(30_000)
  })
})

describe('files:', () => {
  const lengthOf = (bytes: number): Buffer => {
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(bytes))
    return length
  }

  it.each([
    [
      'a header longer than any valid one',
      Buffer.concat([lengthOf(17_000_000), Buffer.alloc(17_000_000, ' ')]),
      // A model is created from any format, so there the bytes count as no format at all.
      /header length|no known format/,
    ],
    [
      'a header of brackets',
      Buffer.concat([lengthOf(10_000_000), Buffer.from('{"a":'.padEnd(10_000_000, '['))]),
      /nested deeper/,
    ],
    [
      'more tensors than any network has',
      (() => {
        const entries = Array.from({ length: 10_001 }, (_, index) => `"${String(index)}":{}`)
        const header = Buffer.from(`{${entries.join()}}`)
        return Buffer.concat([lengthOf(header.length), header])
      })(),
      /more than 10000 tensors/,
    ],
  ])('safetensors with %s', async (_, bytes, says) => {
    const { client } = running
    const answers = [
      await client.upload('/v1/weights/statistics', bytes, 'application/octet-stream'),
      await client.form('/v1/models', [
        { name: 'spec', value: JSON.stringify(tiny) },
        { name: 'weights', value: bytes, filename: 'a' },
      ]),
    ]
    for (const answer of answers) expectProblem(answer, { status: 422, code: 'INVALID_WEIGHTS', says })
  })

  it('npy with a header above the limit', async () => {
    const bytes = Buffer.alloc(100_012, ' ')
    bytes.write('\x93NUMPY\x02\x00', 'latin1')
    bytes.writeUInt32LE(100_000, 8)
    const answer = await running.client.upload('/v1/models/net/predict', bytes, 'application/x-npy')
    expectProblem(answer, { status: 422, code: 'INVALID_IMAGE', says: /header of 100000 bytes/ })
  })

  it('globs above their maximum length', async () => {
    const glob = '*'.repeat(5000)
    for (const path of ['statistics', 'weights'])
      expectProblem(await running.client.get(`/v1/models/net/${path}?parameters=${glob}`), {
        ...{ status: 422, code: 'INVALID_REQUEST', pointer: '#/parameters' },
      })
    const overrides = [{ match: glob, initializer: 'zeros' }]
    const plan = { architecture: 'resnet20', initializers: { overrides } }
    expectProblem(await running.client.post('/v1/plans', plan), {
      ...{ status: 422, code: 'INVALID_REQUEST', pointer: '#/initializers/overrides/0/match' },
    })
  })
})

describe('slow clients:', () => {
  const open = async (): Promise<Socket> => {
    const { hostname, port } = new URL(running.client.url)
    const socket = connect(Number(port), hostname)
    // The connection is cut off or refused.
    socket.on('error', () => undefined)
    await once(socket, 'connect')
    return socket
  }
  const rest = async (socket: Socket): Promise<string> => (await socket.toArray().catch(() => [])).join('')

  it('a head sent byte by byte ends after HEAD_TIMEOUT_MS', async () => {
    const socket = await open()
    const head = 'GET /livez HTTP/1.1\r\nhost: localhost\r\nx-slow: '.padEnd(1000, 'a')
    let sent = 0
    const timer = setInterval(() => socket.writable && socket.write(head.charAt(sent++)), 50)
    const start = performance.now()
    expect(await rest(socket)).toMatch(/^HTTP\/1.1 408 [^]*"code":"REQUEST_TIMEOUT"/)
    expect(performance.now() - start).toBeLessThan(10_000)
    clearInterval(timer)
  })

  it('a silent connection ends after HEAD_TIMEOUT_MS', async () => {
    const socket = await open()
    await rest(socket)
    expect(socket.destroyed).toBe(true)
  })

  it.each(['/v1/plans', '/v1/models/net/predict', '/v1/weights/statistics', '/v2/models/net/infer'])(
    'a body sent byte by byte ends after UPLOAD_TIMEOUT_MS: %s',
    async (path) => {
      const socket = await open()
      socket.write(
        `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/octet-stream\r\ncontent-length: 1000\r\n\r\n`,
      )
      const timer = setInterval(() => socket.writable && socket.write(' '), 50)
      const start = performance.now()
      expect(await rest(socket)).toMatch(/^(HTTP\/1.1 4\d\d |$)/)
      expect(performance.now() - start).toBeLessThan(15_000)
      clearInterval(timer)
    },
  )

  it('at most MAX_CONNECTIONS are accepted, and others after they close', async () => {
    const sockets = await Promise.all(Array.from({ length: MAX_CONNECTIONS + 20 }, open))
    const ended = await Promise.race([
      ...sockets.map((socket) => once(socket, 'close')),
      new Promise((resolve) => setTimeout(resolve, 5000, 'none')),
    ])
    expect(ended).not.toBe('none')
    for (const socket of sockets) socket.destroy()
    await expect
      .poll(async () => (await running.client.get('/livez').catch(() => undefined))?.status)
      .toBe(200)
  })
})
