import { once } from 'node:events'
import type { Socket } from 'node:net'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Client } from '../../support/client.ts'
import { makeKeys } from '../../support/keys.ts'
import { tiny } from '../../support/networks.ts'
import { answerOf, headOf, open, rest } from '../../support/raw.ts'
import { startService, type RunningService } from '../../support/service.ts'

/** Larger than the socket buffers, so that a client notices a cut. */
const BODY_BYTES = 16_000_000
const PIECE = Buffer.alloc(64_000, 'a')
const { file: keysFile, keys } = await makeKeys({ owner: ['predict', 'read', 'manage'], reader: ['read'] })
const own = `X-API-Key: ${keys.owner}`

type Framing = 'length' | 'chunked'
const framingField = (framing: Framing): string =>
  framing === 'length' ? `Content-Length: ${String(BODY_BYTES)}` : 'Transfer-Encoding: chunked'

/**
 * Sends a whole request before it reads, as urllib does, then reads one response. Rejects if the connection
 * is reset.
 */
async function exchange(socket: Socket, head: string, framing: Framing, start = ''): Promise<string> {
  socket.pause()
  const reset = once(socket, 'close').then(() => Promise.reject(new Error('the connection was reset')))
  reset.catch(() => undefined)
  const write = async (bytes: Buffer): Promise<void> => {
    const size = `${bytes.length.toString(16)}\r\n`
    const framed =
      framing === 'length' ? bytes : Buffer.concat([Buffer.from(size), bytes, Buffer.from('\r\n')])
    if (!socket.write(framed)) await Promise.race([once(socket, 'drain'), reset])
  }
  socket.write(head)
  if (start !== '') await write(Buffer.from(start))
  for (let sent = start.length; sent < BODY_BYTES; sent += PIECE.length)
    await write(PIECE.subarray(0, BODY_BYTES - sent))
  if (framing === 'chunked') socket.write('0\r\n\r\n')
  return new Promise((resolve, reject) => {
    let answer = ''
    socket.on('data', (bytes: Buffer) => {
      answer += bytes.toString('latin1')
      const [, of = '', length] = /^([^]*?content-length: (\d+)[^]*?\r\n\r\n)/i.exec(answer) ?? []
      const isKept = !/^connection: close/im.test(of)
      if (length !== undefined && isKept && answer.length >= of.length + Number(length)) resolve(answer)
    })
    socket.once('end', () => {
      resolve(answer)
    })
    socket.once('error', reject)
    socket.resume()
  })
}

async function ask(url: string, head: string, framing: Framing, start?: string): Promise<string> {
  const socket = await open(url)
  try {
    return await exchange(socket, head, framing, start)
  } finally {
    socket.destroy()
  }
}

async function startWithKeys(settings: Readonly<Record<string, string>> = {}): Promise<RunningService> {
  const running = await startService({ MAX_BODY_BYTES: '1000000', API_KEYS_FILE: keysFile, ...settings })
  await new Client(running.client.url, { 'x-api-key': keys.owner }).create({ ...tiny, name: 'net' })
  return running
}

const json = 'Content-Type: application/json'
const form = 'Content-Type: multipart/form-data; boundary=x'
const field = '--x\r\nContent-Disposition: form-data; name="top_k"\r\n\r\n5\r\n'
const file = '--x\r\nContent-Disposition: form-data; name="wrong"; filename="a"\r\n\r\n'
type Case = readonly [status: number, request: string, fields: readonly string[], start?: string]
const cases: readonly Case[] = [
  [401, 'POST /v1/plans', [json]],
  [403, 'POST /v1/models', [`X-API-Key: ${keys.reader}`, json]],
  [404, 'POST /v1/nope', [own]],
  [404, 'POST /v1/models/nope/predict', [own, 'Content-Type: image/jpeg']],
  [404, 'POST /v2/models/nope/infer', [own, json]],
  [404, 'POST /v1/models/nope:predict', [own]],
  [405, 'PATCH /v1/plans', [own, json]],
  [200, 'GET /livez', []],
  [200, 'GET /', ['Accept: text/html']],
  [413, 'POST /v1/plans', [own, json]],
  [413, 'POST /v1/models/net/predict', [own, 'Content-Type: image/png']],
  [400, 'POST /v2/models/net/infer', [own, json]],
  [415, 'POST /v1/weights/statistics', [own, 'Content-Type: text/csv']],
  [417, 'POST /v1/plans', [own, json, 'Expect: a-miracle']],
  [404, 'POST /v1/nope', [own, 'Expect: 100-continue']],
  [422, 'POST /v1/models/net/predict', [own, form], field + file],
  [422, 'POST /v1/models', [own, form], file],
  [422, 'POST /v1/weights/statistics', [own, form], file],
  [400, 'POST /v1/plans', [own, json, 'Host: b']],
  [400, 'POST /v1/models/%zz/predict', [own]],
]

describe('a response before the end of the body reaches a client that sends all of it first:', () => {
  let running: RunningService
  beforeAll(async () => {
    running = await startWithKeys()
  })
  afterAll(() => running.close())

  it.each(cases.map(([status, request, fields, start]) => ({ status, request, fields, start })))(
    '$status to $request',
    async ({ status, request, fields, start }) => {
      for (const framing of ['length', 'chunked'] as const)
        for (const connection of ['Connection: close', 'Connection: keep-alive']) {
          const head = headOf(request, framingField(framing), ...fields, connection)
          const answer = await ask(running.client.url, head, framing, start)
          expect(answer.slice(0, 13), `${framing}, ${connection}`).toBe(`HTTP/1.1 ${String(status)} `)
          expect(answer).toMatch(/^x-request-id: /im)
        }
    },
  )

  it.each(['', 'Connection: keep-alive'])('in HTTP/1.0, %s', async (connection) => {
    const head = headOf(
      'POST /v1/nope HTTP/1.0',
      framingField('length'),
      own,
      ...(connection ? [connection] : []),
    )
    expect(await ask(running.client.url, head, 'length')).toMatch(/^HTTP\/1\.1 404 /)
  })

  it.each([
    ['HTTP that is none', 'HELO mail\r\n\r\n', 400],
    ['headers above the limit', headOf('POST /v1/plans', `X-Long: ${'a'.repeat(40_000)}`), 431],
    [
      'a body with two lengths',
      headOf('POST /v1/plans', 'Content-Length: 5', 'Transfer-Encoding: chunked'),
      400,
    ],
    ['CONNECT', headOf('CONNECT a:80'), 405],
  ])('%s', async (_, head, status) => {
    const answer = await ask(running.client.url, head, 'length')
    expect(answer.slice(0, 13)).toBe(`HTTP/1.1 ${String(status)} `)
    expect(answer).toMatch(/^connection: close/im)
  })

  it('a kept connection then serves the next request', async () => {
    const socket = await open(running.client.url)
    const head = headOf('POST /v1/models/nope/predict', framingField('chunked'), own)
    expect(await exchange(socket, head, 'chunked')).toMatch(/^HTTP\/1\.1 404 [^]*connection: keep-alive/i)
    socket.removeAllListeners('data')
    socket.write(headOf('GET /livez'))
    expect(await answerOf(socket)).toMatch(/^HTTP\/1\.1 200 /)
    socket.destroy()
  })

  it('100 Continue is sent only if the head is accepted', async () => {
    const body = '{"architecture": "resnet20"}'
    const fields = [own, json, 'Expect: 100-continue', `Content-Length: ${String(body.length)}`]
    const refused = await open(running.client.url)
    refused.write(headOf('POST /v1/nope', ...fields))
    expect(await rest(refused)).toMatch(/^HTTP\/1\.1 404 [^]*connection: close/i)
    const taken = await open(running.client.url)
    taken.write(headOf('POST /v1/plans', ...fields, 'Connection: close'))
    expect(await answerOf(taken)).toBe('HTTP/1.1 100 Continue\r\n\r\n')
    taken.write(body)
    expect(await rest(taken)).toMatch(/^HTTP\/1\.1 200 /)
  })
})

it('RATE_LIMITED reaches a client that sends its whole body first', async () => {
  const running = await startWithKeys({ RATE_LIMIT: '3/hour' })
  const { url } = running.client
  const head = headOf('POST /v1/plans', framingField('length'), json, own)
  for (let call = 0; call < 3; call += 1)
    await ask(url, headOf('POST /v1/nope', framingField('length'), own), 'length')
  expect(await ask(url, head, 'length')).toMatch(/^HTTP\/1\.1 429 [^]*RATE_LIMITED/)

  await running.close()
})

describe('lingering connections', () => {
  let running: RunningService
  beforeAll(async () => {
    running = await startWithKeys({ MAX_MODEL_PARAMETERS: '100000' })
  })
  afterAll(() => running.close())

  it.each(['Connection: close', 'Connection: keep-alive'])(
    'are closed when the bytes do not end: %s',
    async (connection) => {
      const socket = await open(running.client.url)
      socket.resume()
      // `once` would reject with the error of a write after the cut.
      const closed = new Promise((resolve) => socket.once('close', resolve))
      socket.write(headOf('POST /v1/nope', own, 'Transfer-Encoding: chunked', connection))
      const chunk = Buffer.concat([
        Buffer.from(`${PIECE.length.toString(16)}\r\n`),
        PIECE,
        Buffer.from('\r\n'),
      ])
      const timer = setInterval(() => socket.write(chunk), 1)
      await closed
      clearInterval(timer)
      expect(socket.bytesWritten).toBeGreaterThan(1_000_000)
    },
  )

  it.each(['Connection: close', 'Connection: keep-alive'])(
    'are closed when nothing arrives: %s',
    async (connection) => {
      const socket = await open(running.client.url)
      socket.write(headOf('POST /v1/nope', own, framingField('length'), connection))
      expect(await rest(socket)).toMatch(/^HTTP\/1\.1 404 /)
      socket.destroy()
      const connections = promisify(
        running.service.app.server.getConnections.bind(running.service.app.server),
      )
      await vi.waitUntil(async () => (await connections()) === 0, { timeout: 30_000, interval: 100 })
    },
  )

  it('are limited in number, and do not block other requests', async () => {
    const { app } = running.service
    const sockets = await Promise.all(
      Array.from({ length: 400 }, async () => {
        const socket = await open(running.client.url)
        socket.write(headOf('POST /v1/nope', own, framingField('chunked'), 'Connection: close'))
        return socket
      }),
    )
    const answers = await Promise.all(sockets.map(answerOf))
    expect(new Set(answers.map((answer) => answer.slice(9, 12)))).toEqual(new Set(['404']))
    const connections = promisify(app.server.getConnections.bind(app.server))
    expect(await connections()).toBeLessThanOrEqual(300)
    expect((await running.client.get('/livez')).status).toBe(200)
    for (const socket of sockets) socket.destroy()
  })
})
