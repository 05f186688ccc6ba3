import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { startProcess, type ServiceProcess } from '../../support/process.ts'
import { headOf, open } from '../../support/raw.ts'
import { temporaryFolder, type Settings } from '../../support/service.ts'

/** More than the buffers of a connection hold. */
const BODY_BYTES = 16_000_000
const PIECE = Buffer.alloc(64_000, 'a')
const JSON_TYPE = 'Content-Type: application/json'
const LENGTH = `Content-Length: ${String(BODY_BYTES)}`
const requests: Record<string, readonly [request: string, ...fields: string[]]> = {
  'HTTP/1.0': ['POST /v1/plans HTTP/1.0', JSON_TYPE, LENGTH],
  'Connection: close': ['POST /v1/plans', JSON_TYPE, LENGTH, 'Connection: close'],
  'keep-alive': ['POST /v1/plans', JSON_TYPE, LENGTH],
}

/**
 * Sends a request with all of its body, ends its own side, and only then reads the answer to its end. Rejects if the
 * connection is reset.
 */
async function sendThenRead(socket: Socket, head: string): Promise<string> {
  const answer = new Promise<string>((resolve, reject) => {
    let received = ''
    socket.on('data', (bytes: Buffer) => (received += bytes.toString('latin1')))
    socket.once('end', () => {
      resolve(received)
    })
    socket.once('close', () => {
      reject(new Error('the connection was reset'))
    })
  })
  answer.catch(() => undefined)
  socket.pause()
  socket.write(head)
  for (let sent = 0; sent < BODY_BYTES; sent += PIECE.length)
    if (!socket.write(PIECE.subarray(0, BODY_BYTES - sent)))
      await Promise.race([once(socket, 'drain'), answer])
  socket.end()
  socket.resume()
  return answer
}

let folder: string
let running: ServiceProcess
beforeAll(async () => {
  folder = await temporaryFolder()
})
afterAll(() => rm(folder, { recursive: true }))

const start = async (settings: Settings): Promise<void> => {
  running = await startProcess({ DATA_DIR: folder, MAX_BODY_BYTES: '1000000', ...settings })
}

const isRefused = (): Promise<boolean> =>
  open(running.client.url).then(
    (socket) => {
      socket.destroy()
      return false
    },
    () => true,
  )

/** The answer to each of the requests, over a new connection. */
async function answers(): Promise<string[]> {
  const received: string[] = []
  for (const [request, ...fields] of Object.values(requests))
    received.push(await sendThenRead(await open(running.client.url), headOf(request, ...fields)))
  return received
}

describe('a client that half-closes after its body receives an answer that was sent before:', () => {
  it('429, also during the drain', async () => {
    await start({ RATE_LIMIT: '1/hour', DRAIN_DELAY_MS: '600000' })
    await running.client.get('/v1/architectures')
    for (const answer of await answers()) expect(answer).toMatch(/^HTTP\/1\.1 429 [^]*RATE_LIMITED/)

    const ended = running.stop()
    await vi.waitUntil(async () => (await running.client.get('/readyz')).status === 503, 60_000)
    for (const answer of await answers())
      expect(answer).toMatch(/^HTTP\/1\.1 429 [^]*connection: close[^]*RATE_LIMITED/i)
    process.kill(running.pid, 'SIGINT')
    expect(await ended).toBe(1)
  })

  it('413 during the drain', async () => {
    await start({ DRAIN_DELAY_MS: '600000' })
    const ended = running.stop()
    await vi.waitUntil(async () => (await running.client.get('/readyz')).status === 503, 60_000)
    for (const answer of await answers())
      expect(answer).toMatch(/^HTTP\/1\.1 413 [^]*connection: close[^]*BODY_TOO_LARGE/i)
    process.kill(running.pid, 'SIGINT')
    expect(await ended).toBe(1)
  })

  it('503 after the drain, over a connection from before', async () => {
    await start({ DRAIN_DELAY_MS: '500', SHUTDOWN_TIMEOUT_MS: '120000' })
    // A body that does not end keeps the service from ending.
    const pending = await open(running.client.url)
    pending.write(headOf('POST /v1/plans', JSON_TYPE, 'Content-Length: 10'))
    const begun = await Promise.all(
      Object.values(requests).map(async ([request, ...fields]) => {
        const socket = await open(running.client.url)
        const head = headOf(request, ...fields)
        // A connection without a request is closed when the service stops to listen.
        socket.write(head.slice(0, 10))
        return { socket, head: head.slice(10) }
      }),
    )
    await running.client.get('/livez')
    const ended = running.stop()
    await vi.waitUntil(isRefused, 60_000)
    for (const { socket, head } of begun)
      expect(await sendThenRead(socket, head)).toMatch(
        /^HTTP\/1\.1 503 [^]*connection: close[^]*SHUTTING_DOWN/i,
      )
    pending.destroy()
    expect(await ended).toBe(0)
    expect(running.log.filter(({ level }) => Number(level) >= 50)).toEqual([])
  })
})
