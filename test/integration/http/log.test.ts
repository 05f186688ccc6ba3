import { rm } from 'node:fs/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Client } from '../../support/client.ts'
import { pixelPng } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { startProcess, type ServiceProcess } from '../../support/process.ts'
import { temporaryFolder } from '../../support/service.ts'

let folder: string
let running: ServiceProcess
beforeAll(async () => {
  folder = await temporaryFolder()
  running = await startProcess({ DATA_DIR: folder, HOST: '0.0.0.0', MAX_BODY_BYTES: '2000' })
})
afterAll(async () => {
  await running.stop()
  await rm(folder, { recursive: true })
})

const json = 'application/json'
const boundary = 'multipart/form-data; boundary=x'
type Sent = readonly [
  status: number,
  method: 'get' | 'post' | 'put' | 'delete',
  path: string,
  type?: string,
  body?: string | Buffer,
]
const requests: readonly Sent[] = [
  [
    201,
    'post',
    '/v1/models',
    json,
    JSON.stringify({ ...tiny, name: 'net', labels: ['a', 'b', 'c', 'd', 'bodymark'] }),
  ],
  [200, 'get', '/livez'],
  [200, 'get', '/v1/models?limit=5'],
  [422, 'get', '/v1/models?cursor=querymark'],
  [404, 'get', '/v1/models/nobody?querymark=1'],
  [404, 'get', '/nowhere?querymark'],
  [400, 'get', '/v1/models/%zz?querymark'],
  [405, 'delete', '/v1/plans?querymark'],
  [400, 'post', '/v1/models', json, '{"bodymark": '],
  [
    400,
    'post',
    '/v1/models/net/predict?fit=fill',
    boundary,
    '--x\r\nContent-Disposition: form-data; name="bodymark',
  ],
  [413, 'post', '/v1/models', json, JSON.stringify({ bodymark: 'a'.repeat(2000) })],
  [415, 'post', '/v1/models', 'text/headermark', 'bodymark'],
  [422, 'post', '/v1/models', json, JSON.stringify({ architecture: 'bodymark' })],
  [422, 'post', '/v1/models/net/predict?top_k=1', 'image/png', 'bodymark'],
  [200, 'post', '/v1/models/net/predict?top_k=1&include=logits', 'image/png', pixelPng],
  [204, 'delete', '/v1/models/net'],
]

it('has one line per request without headers, query or body', async () => {
  const key = running.log.find((entry) => typeof entry['key'] === 'string')?.['key'] as string
  expect(key).toMatch(/^[\w-]{32}$/)
  const secrets = { authorization: `Bearer ${key}`, cookie: 'headermark', 'user-agent': 'headermark' }
  const client = new Client(running.client.url, secrets)
  const lines: object[] = []
  for (const [index, [status, method, path, type, body]] of requests.entries()) {
    const reqId = `request-${String(index)}`
    const headers = { 'x-request-id': reqId, ...(type === undefined ? {} : { 'content-type': type }) }
    expect([path, (await client.send(method, path, headers, body)).status]).toEqual([path, status])
    const line = { reqId, method: method.toUpperCase(), path: path.split('?', 1)[0], status }
    // A request with an invalid path has no caller field.
    lines.push(path.includes('%zz') ? line : { ...line, caller: 'generated' })
  }
  const stranger = { 'x-request-id': 'stranger', 'x-api-key': 'headermark' }
  expect((await running.client.get('/v1/models?querymark', stranger)).status).toBe(401)
  lines.push({ reqId: 'stranger', method: 'GET', path: '/v1/models', status: 401 })

  expect(await running.stop()).toBe(0)
  const logged = running.log.filter(({ reqId }) => reqId !== undefined)
  expect(logged).toMatchObject(lines)
  for (const secret of ['bodymark', 'querymark', 'top_k', 'headermark', pixelPng.toString('latin1', 1, 8)]) {
    expect(running.output()).not.toContain(secret)
  }
  // Printed once, at the start.
  expect(running.output().split(key)).toHaveLength(2)
})
