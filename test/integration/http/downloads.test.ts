import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { request, type IncomingMessage } from 'node:http'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Answer } from '../../support/client.ts'
import { untilRead, whileHalted } from '../../support/halt.ts'
import { tiny } from '../../support/networks.ts'
import { startProcess, type ServiceProcess } from '../../support/process.ts'
import { temporaryFolder } from '../../support/service.ts'

const WEIGHTS = '/v1/models/net/weights'
const SAVED_MODEL = '/v1/models/net/savedmodel'
/** Its weights are 31 MB, more than the buffers of a connection hold. */
const wide = { ...tiny.architecture, stages: [{ blocks: 1, filters: 256 }] }
const LARGE = '/v1/models/large/weights'

let folder: string
let running: ServiceProcess
let length: number
let etag: string
/** The number of log entries before the tests. */
let started: number
beforeAll(async () => {
  folder = await temporaryFolder()
  running = await startProcess({ DATA_DIR: folder })
  const { client } = running
  await client.create({ ...tiny, name: 'net' })
  await client.create({ architecture: wide, classes: 30_000, name: 'large' })
  const { headers, bytes } = await client.get(WEIGHTS)
  length = bytes.length
  etag = headers['etag'] ?? ''
  started = running.log.length
})
afterAll(async () => {
  await running.stop()
  await rm(folder, { recursive: true })
})

const FIELDS = [
  ...['content-type', 'content-range', 'accept-ranges', 'etag', 'cache-control', 'vary'],
  ...['content-disposition'],
]

/** Compares HEAD with GET; a Range is sent with HEAD alone. */
async function compare(path: string, headers: Readonly<Record<string, string>>, range = {}): Promise<Answer> {
  const got = await running.client.get(path, headers)
  const head = await running.client.send('head', path, { ...headers, ...range })
  const pick = (answer: Answer) => [answer.status, ...FIELDS.map((name) => answer.headers[name])]
  expect(pick(head)).toEqual(pick(got))
  expect(head.bytes.length).toBe(0)
  return head
}

/** RFC 9110, 14.2: a Range is defined for GET alone, and ignored elsewhere. */
describe('HEAD ignores Range and answers as GET does without it:', () => {
  const ranges = ['bytes=0-7', 'bytes=-33', 'bytes=100-', 'bytes=999999999-', 'bytes=0-1,4-5', 'lines=0-1']

  it.each(ranges)('%s of weights', async (range) => {
    for (const headers of [{ range }, { range, 'if-range': etag }]) {
      const answer = await compare(WEIGHTS, {}, headers)
      expect([answer.status, answer.headers['content-length']]).toEqual([200, String(length)])
      expect(answer.headers['accept-ranges']).toBe('bytes')
    }
  })

  it.each(ranges)('%s of a SavedModel', async (range) => {
    const answer = await compare(SAVED_MODEL, {}, { range })
    expect([answer.status, answer.headers['content-range']]).toEqual([200, undefined])
  })

  it('with a known ETag', async () => {
    for (const path of [WEIGHTS, SAVED_MODEL]) {
      const known = (await running.client.send('head', path, {})).headers['etag'] ?? ''
      const answer = await compare(path, { 'if-none-match': known }, { range: 'bytes=0-7' })
      expect(answer.status).toBe(304)
    }
  })
})

it('GET of a SavedModel offers no ranges and ignores them', async () => {
  for (const range of ['bytes=0-7', 'bytes=999999999-']) {
    const answer = await running.client.get(SAVED_MODEL, { range })
    expect([answer.status, answer.headers['accept-ranges']]).toEqual([200, undefined])
    expect(answer.headers['content-length']).toBe(String(answer.bytes.length))
  }
})

describe('the log reports that the client aborted a download, and no error:', () => {
  const lineOf = (id: string) =>
    vi.waitUntil(() => running.log.find(({ reqId, path }) => reqId === id && path !== undefined), {
      timeout: 60_000,
    })
  const start = (path: string, id: string, headers = {}) =>
    request(new URL(path, running.client.url), { headers: { 'x-request-id': id, ...headers } })
      .on('error', () => undefined)
      .end()

  it.each([
    ['whole', 200, {}],
    ['range', 206, { range: 'bytes=5-' }],
  ])('after its first bytes: %s', async (id, status, headers) => {
    const asked = start(LARGE, id, headers)
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    await once(
      answer.on('error', () => undefined),
      'data',
    )
    asked.destroy()
    expect(await lineOf(id)).toMatchObject({
      ...{ level: 30, msg: 'request', method: 'GET', path: LARGE, status, hung_up: true },
    })
  })

  it.each([WEIGHTS, SAVED_MODEL])('before its first byte: %s', async (path) => {
    await whileHalted(running.workers.get('analysis'), async () => {
      const asked = start(path, `early${path}`.replaceAll('/', '.'))
      await once(asked, 'finish')
      await untilRead(running.client)
      asked.destroy()
      const line = await lineOf(`early${path}`.replaceAll('/', '.'))
      expect(line).toMatchObject({ level: 30, msg: 'request', method: 'GET', path, hung_up: true })
      expect(line['status']).not.toBe(500)
    })
  })

  it('and the service continues', async () => {
    expect((await running.client.get(WEIGHTS)).bytes.length).toBe(length)
    expect((await running.client.get(SAVED_MODEL)).status).toBe(200)
    expect(running.log.slice(started).filter(({ level }) => Number(level) >= 40)).toEqual([])
  })
})
