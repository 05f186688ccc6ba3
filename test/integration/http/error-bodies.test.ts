import { once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ErrorCode } from '../../../src/common/errors.ts'
import { hashKey, generateKey } from '../../../src/http/shared/api-keys.ts'
import type { Answer, Client } from '../../support/client.ts'
import { assertContract } from '../../support/contract.ts'
import { untilRead, whileHalted } from '../../support/halt.ts'
import { arithmeticImage, flowerJpeg, npy } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { expectForeignError, expectProblem } from '../../support/problems.ts'
import { startService, temporaryFolder, type RunningService } from '../../support/service.ts'

const SHAPE = [8, 8, 3] as const
const MAX_BODY_BYTES = 100_000
const keys = { all: generateKey(), reader: generateKey(), hurried: generateKey() }
const keyed = (key: string) => ({ authorization: `Bearer ${key}` })
const lineOf = (name: keyof typeof keys, fields: object = {}): string =>
  JSON.stringify({
    ...{ name, sha256: hashKey(keys[name]).toString('hex'), scopes: ['predict', 'read', 'manage'] },
    ...fields,
  })

type Protocol = 'own' | 'v2' | 'serving'
/** A prediction by each protocol: path, body, type, and a body with an invalid image. */
const predictions: Record<
  Protocol,
  {
    readonly path: (model: string) => string
    readonly body: Buffer
    readonly type: string
    readonly noImage: string
  }
> = {
  own: {
    path: (model) => `/v1/models/${model}/predict`,
    body: npy(SHAPE, arithmeticImage(SHAPE)),
    type: 'application/x-npy',
    noImage: '{"instances": [{"b64": "aGk="}]}',
  },
  v2: {
    path: (model) => `/v2/models/${model}/infer`,
    body: Buffer.from(JSON.stringify({ inputs: [encoded(flowerJpeg.toString('base64'))] })),
    type: 'application/json',
    noImage: JSON.stringify({ inputs: [encoded('aGk=')] }),
  },
  serving: {
    path: (model) => `/v1/models/${model}:predict`,
    body: Buffer.from(JSON.stringify({ instances: [{ b64: flowerJpeg.toString('base64') }] })),
    type: 'application/json',
    noImage: '{"instances": [{"b64": "aGk="}]}',
  },
}
const protocols = Object.keys(predictions) as Protocol[]

function encoded(base64: string): object {
  return { name: 'image_bytes', datatype: 'BYTES', shape: [1], data: [base64] }
}

let folder: string
let running: RunningService
beforeAll(async () => {
  folder = await temporaryFolder()
  const before = await startService({}, folder)
  await before.client.create({ ...tiny, name: 'net' })
  const { id } = await before.client.create({ ...tiny, seed: 1, name: 'diverged' })
  await before.close()
  await writeFile(join(folder, 'models', id, 'seal.json'), JSON.stringify('f'.repeat(64)))
  const file = join(folder, 'keys')
  const lines = [
    lineOf('all'),
    lineOf('reader', { scopes: ['read'] }),
    lineOf('hurried', { rate_limit: '1/hour' }),
  ]
  await writeFile(file, lines.join('\n'))
  running = await startService(
    {
      ...{ API_KEYS_FILE: file, MAX_BODY_BYTES: String(MAX_BODY_BYTES) },
      ...{ HEAD_TIMEOUT_MS: '1000', UPLOAD_TIMEOUT_MS: '3000' },
    },
    folder,
  )
})
afterAll(async () => {
  await running.close()
  await rm(folder, { recursive: true })
})

const REQUEST_ID = { 'x-request-id': 'asked.1' }

function predict(
  protocol: Protocol,
  { model = 'net', key = keys.all, client = running.client } = {},
  changes: { readonly body?: Buffer | string; readonly type?: string } = {},
): Promise<Answer> {
  const { path, body, type } = predictions[protocol]
  const headers = { ...REQUEST_ID, ...(key === '' ? {} : keyed(key)) }
  return client.upload(path(model), changes.body ?? body, changes.type ?? type, headers)
}

/** Sends raw bytes, and reads the single response of the connection. */
async function exchange(method: string, path: string, head: string): Promise<Answer> {
  const { hostname, port } = new URL(running.client.url)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  socket.write(`${method} ${path} HTTP/1.1\r\nhost: ${hostname}\r\nx-request-id: asked.1\r\n${head}`)
  const [top = '', body = ''] = Buffer.concat((await socket.toArray()) as Buffer[])
    .toString()
    .split('\r\n\r\n')
  const [first = '', ...lines] = top.split('\r\n')
  const headers = Object.fromEntries(
    lines
      .map((line) => line.split(/: (.*)/, 2))
      .map(([name = '', value = '']) => [name.toLowerCase(), value]),
  )
  const bytes = Buffer.from(body)
  const answer = { status: Number(first.split(' ')[1]), headers, bytes, json: JSON.parse(body) as unknown }
  assertContract(method.toLowerCase(), path, answer)
  return answer
}

interface Case {
  readonly code: ErrorCode
  /** By protocol; a missing protocol has no such error. */
  readonly status: Readonly<Partial<Record<Protocol, number>>>
  readonly ask: (protocol: Protocol) => Promise<Answer>
  readonly headers?: Readonly<Record<string, RegExp>>
  /** The request was never read, so its id is unknown. */
  readonly unread?: true
}

const same = (status: number) => ({ own: status, v2: status, serving: status })
const retry = { 'retry-after': /^[1-9]\d*$/ }
const cases: Record<string, Case> = {
  'a body that is not JSON': {
    ...{ code: 'MALFORMED_REQUEST', status: same(400) },
    ask: (protocol) => predict(protocol, {}, { body: '{', type: 'application/json' }),
  },
  'no key': {
    ...{ code: 'UNAUTHORIZED', status: same(401), headers: { 'www-authenticate': /^Bearer$/ } },
    ask: (protocol) => predict(protocol, { key: '' }),
  },
  'a key without the scope': {
    ...{ code: 'FORBIDDEN', status: same(403) },
    ask: (protocol) => predict(protocol, { key: keys.reader }),
  },
  'an unknown model': {
    ...{ code: 'MODEL_NOT_FOUND', status: same(404) },
    ask: (protocol) => predict(protocol, { model: 'nobody' }),
  },
  'another method': {
    // TensorFlow Serving reports a malformed request: `tensorflow-serving-errors.test.ts`.
    ...{ code: 'METHOD_NOT_ALLOWED', status: { own: 405, v2: 405 }, headers: { allow: /^POST$/ } },
    ask: (protocol) =>
      running.client.get(predictions[protocol].path('net'), { ...REQUEST_ID, ...keyed(keys.all) }),
  },
  'a body that does not arrive': {
    ...{ code: 'REQUEST_TIMEOUT', status: same(408) },
    ask: (protocol) =>
      exchange(
        'POST',
        predictions[protocol].path('net'),
        `authorization: Bearer ${keys.all}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`,
      ),
  },
  'a body that is too large': {
    ...{ code: 'BODY_TOO_LARGE', status: { own: 413, v2: 400, serving: 400 } },
    ask: (protocol) =>
      predict(protocol, {}, { body: Buffer.alloc(MAX_BODY_BYTES + 1), type: 'application/octet-stream' }),
  },
  'a type that is not read': {
    // The other protocols read every type as JSON.
    ...{ code: 'UNSUPPORTED_MEDIA_TYPE', status: { own: 415 } },
    ask: (protocol) => predict(protocol, {}, { type: 'text/html' }),
  },
  'an image that cannot be read': {
    ...{ code: 'INVALID_IMAGE', status: { own: 422, v2: 400, serving: 400 } },
    ask: (protocol) =>
      predict(protocol, {}, { body: predictions[protocol].noImage, type: 'application/json' }),
  },
  'a rate that is exceeded': {
    ...{ code: 'RATE_LIMITED', status: same(429), headers: retry },
    ask: async (protocol) => {
      await predict(protocol, { key: keys.hurried })
      return predict(protocol, { key: keys.hurried })
    },
  },
  'headers that are too large': {
    ...{ code: 'HEADERS_TOO_LARGE', status: same(431), unread: true },
    ask: (protocol) =>
      exchange('POST', predictions[protocol].path('net'), `x-long: ${'a'.repeat(20_000)}\r\n\r\n`),
  },
  'weights that diverged': {
    ...{ code: 'WEIGHTS_DIVERGED', status: same(500) },
    ask: (protocol) => predict(protocol, { model: 'diverged' }),
  },
}

function check(
  protocol: Protocol,
  answer: Answer,
  { code, status, headers = {}, unread }: Omit<Case, 'ask'>,
): void {
  const wanted = status[protocol] ?? NaN
  if (protocol === 'own') expectProblem(answer, { status: wanted, code })
  else expectForeignError(answer, { status: wanted })
  expect(answer.headers['x-request-id']).toMatch(unread ? /^[0-9a-f-]{36}$/ : /^asked\.1$/)
  for (const [name, value] of Object.entries(headers)) expect(answer.headers[name]).toMatch(value)
}

describe.each(Object.entries(cases))('%s', (_, wanted) => {
  it.each(protocols.filter((protocol) => protocol in wanted.status))('%s', async (protocol) => {
    check(protocol, await wanted.ask(protocol), wanted)
  })
})

it('a response has the request id and its costs', async () => {
  for (const protocol of protocols) {
    const answer = await predict(protocol)
    expect([answer.status, answer.headers['x-request-id']]).toEqual([200, 'asked.1'])
    expect(answer.headers['server-timing']).toMatch(
      /^decode;dur=[\d.]+, queue;dur=[\d.]+, compute;dur=[\d.]+$/,
    )
  }
})

/** One prediction by each protocol, concurrently. */
function predictByEach(client: Client) {
  return Promise.all(
    protocols.map(async (protocol) => [protocol, await predict(protocol, { client })] as const),
  )
}

it('a prediction past its deadline', async () => {
  const strict = await startService({ REQUEST_TIMEOUT_MS: '1000' })
  try {
    const { client, service } = strict
    await client.create({ ...tiny, name: 'net' })
    const answers = await whileHalted(service.engine.pid, () => predictByEach(client))
    for (const [protocol, answer] of answers)
      check(protocol, answer, {
        ...{ code: 'DEADLINE_EXCEEDED', status: { own: 504, v2: 503, serving: 504 } },
        headers: protocol === 'v2' ? retry : {},
      })
  } finally {
    await strict.close()
  }
})

it('a service that stops before its response', async () => {
  const stopping = await startService({ SHUTDOWN_TIMEOUT_MS: '2000' })
  const { client, service } = stopping
  await client.create({ ...tiny, name: 'net' })
  let closed: Promise<void> | undefined
  const answers = await whileHalted(service.engine.pid, async () => {
    const asked = predictByEach(client)
    await untilRead(client)
    closed = stopping.close()
    return asked
  })
  await closed
  for (const [protocol, answer] of answers)
    check(protocol, answer, { code: 'SHUTTING_DOWN', status: same(503), headers: retry })
})
