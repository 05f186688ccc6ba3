import type { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { Client } from '../../support/client.ts'
import { pixelPng } from '../../support/images.ts'
import { makeKeys } from '../../support/keys.ts'
import { tiny } from '../../support/networks.ts'
import { answerOf, headOf, open, rest } from '../../support/raw.ts'
import { startService, type RunningService, type Settings } from '../../support/service.ts'

const ROUTES = [
  ['/v1/plans', 'application/json'],
  ['/v1/models', 'application/json'],
  ['/v1/models', 'multipart/form-data; boundary=x'],
  ['/v1/models/net/predict', 'image/png'],
  ['/v1/models/net/predict', 'multipart/form-data; boundary=x'],
  ['/v1/models/net/signals', 'multipart/form-data; boundary=x'],
  ['/v1/weights/statistics', 'application/octet-stream'],
  ['/v1/weights/statistics', 'multipart/form-data; boundary=x'],
  ['/v2/models/net/infer', 'application/json'],
  ['/v1/models/net:predict', 'application/json'],
  ['/v1/models/net:classify', 'application/json'],
] as const
const FRAMINGS = ['Transfer-Encoding: chunked', 'Content-Length: 60000000'] as const

let running: RunningService
const sockets: Socket[] = []
const start = async (settings: Settings = {}): Promise<void> => {
  running = await startService(settings)
  await running.client.create({ ...tiny, name: 'net' })
}
const send = async (path: string, type: string, ...fields: readonly string[]): Promise<Socket> => {
  const socket = await open(running.client.url)
  sockets.push(socket)
  socket.write(headOf(`POST ${path}`, `Content-Type: ${type}`, ...fields))
  return socket
}
const end = (): void => {
  for (const socket of sockets.splice(0)) socket.destroy()
}

const plan = () => running.client.post('/v1/plans', { architecture: 'resnet20' })
const predict = () => running.client.upload('/v1/models/net/predict', pixelPng, 'image/png')

describe('stalled bodies', () => {
  beforeAll(() => start({ STALL_TIMEOUT_MS: '1500' }))
  afterAll(() => running.close())
  afterEach(end)

  it.each(FRAMINGS)('do not block other requests on any route: %s', async (framing) => {
    const silent = await Promise.all(
      ROUTES.flatMap(([path, type]) => Array.from({ length: 6 }, () => send(path, type, framing))),
    )
    // Some send a byte now and then.
    const timer = setInterval(() => {
      for (const socket of silent.slice(0, 30)) socket.write(framing.startsWith('T') ? '1\r\n \r\n' : ' ')
    }, 200)
    for (let call = 0; call < 3; call += 1)
      expect([(await plan()).status, (await predict()).status]).toEqual([200, 200])
    clearInterval(timer)
  })

  it('fail after STALL_TIMEOUT_MS, on every route', async () => {
    const ended = async (path: string, type: string, framing: string, dribbles: boolean): Promise<void> => {
      const socket = await send(path, type, framing)
      const timer = setInterval(() => {
        if (dribbles) socket.write(framing.startsWith('T') ? '1\r\n \r\n' : ' ')
      }, 300)
      const answer = await answerOf(socket)
      clearInterval(timer)
      const which = [path, type, framing, dribbles].join()
      expect(answer, which).toMatch(/^HTTP\/1\.1 408 /)
      expect(answer).toContain('less than 500 bytes a second for 1.5 s (STALL_TIMEOUT_MS); send it again')
      const isForeign = path.startsWith('/v2') || path.includes(':')
      expect(answer.includes('"code":"REQUEST_TIMEOUT"'), which).toBe(!isForeign)
    }
    await Promise.all(
      ROUTES.flatMap(([path, type]) =>
        FRAMINGS.flatMap((framing) => [false, true].map((dribbles) => ended(path, type, framing, dribbles))),
      ),
    )
  })
})

describe('a slow body with progress', () => {
  beforeAll(() => start({ STALL_TIMEOUT_MS: '1000', REQUEST_TIMEOUT_MS: '2000' }))
  afterAll(() => running.close())
  afterEach(end)

  it.each([
    ['/v1/plans', 'application/json', Buffer.from('{"architecture": "resnet20"}'.padEnd(12_000))],
    // Bytes after the end of a PNG are ignored.
    [
      '/v1/models/net/predict',
      'image/png',
      Buffer.concat([pixelPng, Buffer.alloc(12_000 - pixelPng.length)]),
    ],
  ] as const)('is served, however long it takes: %s', async (path, type, body) => {
    const socket = await send(path, type, `Content-Length: ${String(body.length)}`)
    const answered = answerOf(socket)
    for (let at = 0; at < body.length; at += 200) {
      socket.write(body.subarray(at, at + 200))
      await pause(60)
    }
    expect(await answered).toMatch(/^HTTP\/1\.1 200 /)
  })
})

describe('when bodies fill MAX_QUEUE_BYTES', () => {
  const MOST = 1_000_000
  let clients: Readonly<Record<'heavy' | 'light', Client>>
  let heavyKey: string

  beforeAll(async () => {
    const { file, keys } = await makeKeys({
      heavy: ['predict', 'read', 'manage'],
      light: ['predict', 'read'],
    })
    running = await startService({ MAX_QUEUE_BYTES: String(MOST), API_KEYS_FILE: file })
    heavyKey = keys.heavy
    const clientOf = (key: string) => new Client(running.client.url, { 'x-api-key': key })
    clients = { heavy: clientOf(keys.heavy), light: clientOf(keys.light) }
    await clients.heavy.create({ ...tiny, name: 'net' })
  })
  afterAll(() => running.close())
  afterEach(end)

  /** All of a body except its last byte. */
  const begin = async (path: string, type: string, bytes: number): Promise<Socket> => {
    const length = `Content-Length: ${String(bytes + 1)}`
    const socket = await send(path, type, `X-API-Key: ${heavyKey}`, length)
    socket.write(Buffer.alloc(bytes, ' '))
    return socket
  }

  it.each([
    ['/v1/plans', 'application/json', Buffer.from('{"architecture": "resnet20"}'.padEnd(300_000))],
    ['/v1/models/net/predict', 'image/png', Buffer.concat([pixelPng, Buffer.alloc(300_000)])],
  ] as const)('another key gets its share: %s', async (path, type, body) => {
    const first = await begin(path, type, 450_000)
    // One key alone may use the whole budget.
    const second = await begin(path, type, 450_000)
    await vi.waitFor(async () => {
      expect((await clients.heavy.upload(path, body, type)).status).toBe(429)
    })
    const displaced = answerOf(second)
    expect((await clients.light.upload(path, body, type)).status).toBe(200)
    const answer = await displaced
    expect(answer).toMatch(/^HTTP\/1\.1 429 [^]*retry-after: \d+/i)
    expect(answer).toContain('"code":"QUEUE_FULL"')
    expect([first.destroyed, first.bytesRead]).toEqual([false, 0])
  })

  it('hundreds of bodies hold at most MAX_QUEUE_BYTES', async () => {
    const upload = async (): Promise<string> => {
      const socket = await begin('/v1/models/net/predict', 'image/png', 100_000)
      const answer = rest(socket)
      socket.end('x')
      return answer
    }
    let most = 0
    const answered = Promise.all(Array.from({ length: 200 }, upload))
    const state = { over: false }
    void answered.then(() => (state.over = true))
    while (!state.over) {
      most = Math.max(
        most,
        Number(
          /^resinit_queue_bytes (\d+)/m.exec((await clients.light.get('/metrics')).bytes.toString())?.[1],
        ),
      )
      await pause(5)
    }
    const statuses = (await answered).map((answer) => answer.slice(9, 12))
    expect(most).toBeLessThanOrEqual(MOST)
    // Bodies within the budget are not images.
    expect(statuses.filter((status) => status === '422').length).toBeGreaterThan(0)
    expect(statuses.filter((status) => !['422', '429'].includes(status))).toEqual([])
  })

  it('weights that are written to disk hold none', async () => {
    // Three times the budget, the first third of which leaves room for others.
    const header = Buffer.from(
      `{"a":{"dtype":"F32","shape":[${String((3 * MOST) / 4)}],"data_offsets":[0,${String(3 * MOST)}]}}`,
    )
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(header.length))
    const file = Buffer.concat([length, header, Buffer.alloc(3 * MOST)])
    const asked = clients.heavy.upload('/v1/weights/statistics', file, 'application/octet-stream')
    const held = await begin('/v1/weights/statistics', 'application/octet-stream', 2 * MOST)
    const form = await clients.heavy.form('/v1/models', [
      { name: 'spec', value: JSON.stringify(tiny) },
      { name: 'weights', value: file, filename: 'a' },
    ])
    expect((await asked).status).toBe(200)
    expect(form.status).toBe(422)
    const plan = '{"architecture": "resnet20"}'.padEnd(300_000)
    expect((await clients.heavy.upload('/v1/plans', plan, 'application/json')).status).toBe(200)
    expect(held.bytesRead).toBe(0)
  })
})
