import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Answer, ModelBody } from '../../support/client.ts'
import { flowerJpeg, pixelPng } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { expectForeignError, expectProblem } from '../../support/problems.ts'
import { startService, type RunningService } from '../../support/service.ts'
import { stagedIn } from '../../support/staging.ts'

const MAX_BODY_BYTES = 200_000
/** The largest weights file, plus the same for the bytes around it. */
const MOST_STREAMED = 2 * MAX_BODY_BYTES + 4 * 20_000
const ENCODINGS = [
  ['gzip', gzipSync],
  ['x-gzip', gzipSync],
  ['deflate', deflateSync],
  ['br', brotliCompressSync],
  ['GZip ', gzipSync],
] as const

let running: RunningService
let weights: Buffer
beforeAll(async () => {
  running = await startService({
    MAX_BODY_BYTES: String(MAX_BODY_BYTES),
    MAX_MODEL_PARAMETERS: '20000',
    MAX_QUEUE_BYTES: String(4 * MAX_BODY_BYTES),
  })
  await running.client.create({ ...tiny, name: 'net' })
  weights = (await running.client.get('/v1/models/net/weights')).bytes
})
afterAll(() => running.close())
afterEach(async () => {
  expect(await stagedIn(running.dataDir)).toEqual([])
})

const b64 = flowerJpeg.toString('base64')
const json = (body: object) => ({ type: 'application/json', body: Buffer.from(JSON.stringify(body)) })
const form = (name: string, file: Buffer) => ({
  type: 'multipart/form-data; boundary=BOUNDARY',
  body: Buffer.concat([
    Buffer.from(`--BOUNDARY\r\nContent-Disposition: form-data; name="${name}"; filename="a"\r\n\r\n`),
    file,
    Buffer.from('\r\n--BOUNDARY--\r\n'),
  ]),
})
const images = { name: 'image_bytes', datatype: 'BYTES', shape: [1], data: [b64] }
/** One body for every way in which a route reads one. */
const routes = {
  '/v1/plans': () => json(tiny),
  '/v1/models/net/predict': () => ({ type: 'image/jpeg', body: flowerJpeg }),
  '/v1/models/net/predict?top_k=1': () => json({ instances: [{ b64 }] }),
  '/v1/models/net/predict?top_k=2': () => form('images', flowerJpeg),
  '/v1/models/net/signals': () => form('images', pixelPng),
  '/v1/models/net:predict': () => json({ instances: [{ b64 }] }),
  '/v2/models/net/infer': () => json({ inputs: [images] }),
  '/v2/repository/index': () => json({ ready: true }),
  '/v2/repository/models/net/load': () => json({}),
  '/v1/weights/statistics': () => ({ type: 'application/octet-stream', body: weights }),
  '/v1/weights/statistics?layout=keras': () => form('weights', weights),
  '/v1/models': () => form('weights', weights),
} as const
const paths = Object.keys(routes) as (keyof typeof routes)[]
const isForeign = (path: string): boolean => path.startsWith('/v2/') || path.includes(':')

const send = (path: string, type: string, body: Buffer, encoding: string): Promise<Answer> =>
  running.client.upload(path, body, type, { 'content-encoding': encoding })

/** The response without its timings. */
function withoutTimes({ json: answer }: Answer): object {
  return Object.fromEntries(
    Object.entries(answer as Record<string, unknown>).filter(([name]) => name !== 'timing_ms'),
  )
}

describe.each(paths)('%s', (path) => {
  it.each(ENCODINGS)('reads %s', async (encoding, compress) => {
    const { type, body } = routes[path]()
    const plain = await running.client.upload(path, body, type)
    expect([200, 201]).toContain(plain.status)
    const answer = await send(path, type, compress(body), encoding)
    expect([200, 201], answer.bytes.toString()).toContain(answer.status)
    if (answer.bytes.length === 0) expect(plain.bytes).toHaveLength(0)
    else if (path === '/v1/models') expect((answer.json as ModelBody).id).toBe((plain.json as ModelBody).id)
    else if (path !== '/v1/models/net/signals') expect(withoutTimes(answer)).toEqual(withoutTimes(plain))
  })

  it('rejects a body that does not match its encoding, is cut off, or is followed by more', async () => {
    const { type, body } = routes[path]()
    for (const [encoding, compress] of ENCODINGS.slice(2, 4)) {
      const whole = compress(body)
      for (const wrong of [body, whole.subarray(0, -3), Buffer.concat([whole, Buffer.from('more')])]) {
        const says = /^the body (is not|continues after the end of its) (deflate|br)$/
        const answer = await send(path, type, wrong, encoding)
        if (isForeign(path)) expectForeignError(answer, { status: 400 })
        else expectProblem(answer, { status: 400, code: 'MALFORMED_REQUEST', says })
      }
    }
    const answer = await send(path, type, gzipSync(body).subarray(0, -3), 'gzip')
    if (isForeign(path)) expectForeignError(answer, { status: 400, says: /not gzip/ })
    else expectProblem(answer, { status: 400, code: 'MALFORMED_REQUEST', says: /not gzip/ })
  })

  it.each(['zstd', 'compress', 'gzip, gzip', 'gzip, br', 'identity, gzip', 'constructor', '*'])(
    'rejects %s and names the supported encodings',
    async (encoding) => {
      const { type, body } = routes[path]()
      const answer = await send(path, type, body, encoding)
      const says = /send the body with one of gzip, deflate, br, or without encoding/
      if (isForeign(path)) expectForeignError(answer, { status: 415, says })
      else expectProblem(answer, { status: 415, code: 'UNSUPPORTED_ENCODING', says })
      expect(answer.headers['accept-encoding']).toBe('gzip, deflate, br')
    },
  )

  it.each(ENCODINGS)('limits the decoded size of %s', async (encoding, compress) => {
    const { type, body } = routes[path]()
    // After a valid start, a part or file of any size follows; in a form, bytes between the parts.
    for (const bomb of [
      Buffer.alloc(MOST_STREAMED + MAX_BODY_BYTES),
      Buffer.concat([body.subarray(0, -20), Buffer.alloc(MOST_STREAMED + MAX_BODY_BYTES)]),
    ]) {
      const answer = await send(path, type, compress(bomb), encoding)
      if (isForeign(path)) expectForeignError(answer, { status: 400, says: /MAX_BODY_BYTES/ })
      // A form without a first part ends at once.
      else expect([400, 413], answer.bytes.toString()).toContain(answer.status)
      expect(answer.bytes.toString()).toMatch(/MAX_BODY_BYTES|MAX_MODEL_PARAMETERS|form cannot be parsed/)
    }
  })
})

it('an encoding without a body, or an empty encoding, is ignored', async () => {
  for (const encoding of ['identity', '', ' Identity'])
    expect(
      (await send('/v1/plans', 'application/json', Buffer.from(JSON.stringify(tiny)), encoding)).status,
    ).toBe(200)
  expect((await running.client.get('/v1/models', { 'content-encoding': 'zstd' })).status).toBe(200)
  expect(
    (await running.client.send('post', '/v2/repository/index', { 'content-encoding': 'gzip' })).status,
  ).toBe(200)
})

it('a chunked body is decoded', async () => {
  const status = await new Promise((resolve, reject) => {
    const request = httpRequest(
      `${running.client.url}/v1/plans`,
      { method: 'POST', headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' } },
      (response) => {
        response.resume()
        resolve(response.statusCode)
      },
    ).on('error', reject)
    const body = gzipSync(JSON.stringify(tiny))
    request.write(body.subarray(0, 20))
    request.end(body.subarray(20))
  })
  expect(status).toBe(200)
})

it('decoded bytes count against MAX_QUEUE_BYTES while a body arrives', async () => {
  const { hostname, port } = new URL(running.client.url)
  const body = gzipSync(JSON.stringify(tiny).padEnd(MAX_BODY_BYTES - 1000))
  const head = `POST /v1/plans HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: ${String(body.length)}\r\n\r\n`
  const statuses: string[] = []
  const sockets = Array.from({ length: 8 }, () => {
    const socket = connect(Number(port), hostname)
    socket.on('error', () => undefined)
    socket.once('data', (answer) => statuses.push(answer.toString('latin1', 9, 12)))
    socket.write(head)
    socket.write(body.subarray(0, -4))
    return socket
  })
  // Four of them fill MAX_QUEUE_BYTES.
  await vi.waitUntil(() => statuses.filter((status) => status === '429').length >= 3, { timeout: 20_000 })
  for (const socket of sockets) socket.write(body.subarray(-4))
  await vi.waitUntil(() => statuses.length === sockets.length, { timeout: 20_000 })
  expect(new Set(statuses)).toEqual(new Set(['200', '429']))
  for (const socket of sockets) socket.destroy()
})

describe('line breaks in base64', () => {
  const lines = (end: string): string => b64.replaceAll(/.{76}/g, `$&${end}`) + end
  const ask = (path: string, text: string): Promise<Answer> => {
    if (path === '/v2/models/net/infer')
      return running.client.post(path, { inputs: [{ ...images, data: [text] }] })
    return running.client.post(path, { instances: [{ b64: text }] })
  }
  const ROUTES = ['/v1/models/net/predict', '/v1/models/net:predict', '/v2/models/net/infer']

  it.each(ROUTES)('are ignored by %s', async (path) => {
    const plain = withoutTimes(await ask(path, b64))
    for (const end of ['\n', '\r\n', '\r'])
      expect(withoutTimes(await ask(path, lines(end))), JSON.stringify(end)).toEqual(plain)
  })

  it.each(ROUTES)('are the only characters that %s ignores', async (path) => {
    for (const text of [
      lines(' '),
      lines('\t'),
      lines('\u2028'),
      `${b64}!`,
      `=${b64}`,
      '\n',
      '\r\n=',
      `${b64}=\n=\n=`,
    ]) {
      const answer = await ask(path, text)
      expect([400, 422], JSON.stringify(text.slice(0, 90))).toContain(answer.status)
      expect(answer.bytes.toString()).toContain('base64')
    }
  })
})
