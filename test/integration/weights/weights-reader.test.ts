import { once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createWeightsReader } from '../../../src/weights/client/weights-reader.ts'
import { halt, kill, untilRead } from '../../support/halt.ts'
import { tiny } from '../../support/networks.ts'
import { runs, startProcess, type ServiceProcess } from '../../support/process.ts'
import { writeDtypes } from '../../support/safetensors.ts'
import { temporaryFolder } from '../../support/service.ts'
import { stagedIn } from '../../support/staging.ts'

/** Longer than any call takes here. */
const HANG = { timeout: 60_000 }

let folder: string
beforeEach(async () => {
  folder = await temporaryFolder()
})
afterEach(() => rm(folder, { recursive: true }))

describe('a service', () => {
  let running: ServiceProcess
  let file: Buffer
  beforeEach(async () => {
    running = await startProcess({ DATA_DIR: folder, ENGINES: '1', SHUTDOWN_TIMEOUT_MS: '24000' })
    await running.client.create({ ...tiny, name: 'net' })
    file = (await running.client.get('/v1/models/net/weights')).bytes
  })
  afterEach(async () => {
    await running.stop()
  })

  const upload = () =>
    running.client.form('/v1/models', [{ name: 'weights', value: file, filename: 'net.safetensors' }])
  const reader = (): number => running.workers.get('weights reader') ?? 0

  it('starts a reader for the first file, and another one for a file whose reader is killed', async () => {
    expect(reader()).toBe(0)
    expect((await upload()).status).toBe(201)
    const pid = reader()
    halt(pid)
    const stuck = upload()
    await untilRead(running.client)
    kill(pid)
    expect((await stuck).json).toMatchObject({ loaded: { format: 'safetensors' } })
    await vi.waitUntil(() => reader() !== pid, HANG)
  })

  it('replaces a reader that is stopped', { timeout: 60_000 }, async () => {
    await upload()
    halt(reader())
    expect((await upload()).status).toBe(200)
    await expect.poll(() => stagedIn(folder)).toEqual([])
  })

  it('stops a reader whose client leaves', async () => {
    await upload()
    const pid = reader()
    halt(pid)
    const { port, hostname } = new URL(running.client.url)
    const left = request({
      ...{ port, hostname, path: '/v1/models', method: 'POST' },
      headers: { 'content-type': 'multipart/form-data; boundary=x' },
    })
    left.on('error', () => undefined)
    const head = '--x\r\nContent-Disposition: form-data; name="weights"; filename="w"\r\n\r\n'
    left.end(Buffer.concat([Buffer.from(head), file, Buffer.from('\r\n--x--\r\n')]))
    await once(left, 'finish')
    await untilRead(running.client)
    left.destroy()
    await vi.waitUntil(() => !runs(pid), HANG)
    await expect.poll(() => stagedIn(folder)).toEqual([])
    expect((await upload()).status).toBe(200)
  })

  it('stops with its reader during an upload', { timeout: 60_000 }, async () => {
    await upload()
    const pid = reader()
    halt(pid)
    const stuck = upload()
    await untilRead(running.client)
    expect(await running.stop()).toBe(0)
    expect([200, 503]).toContain((await stuck).status)
    await vi.waitUntil(() => !runs(pid), HANG)
  })
})

it('a file that takes too long in two processes is rejected', async () => {
  // The description of this file takes longer than the limit.
  const empty = { dtype: 'F32', shape: [0], bytes: Buffer.alloc(0) }
  const names = Array.from({ length: 9000 }, (_, index) => `${'a'.repeat(1000)}${String(index)}`)
  const parts = [{ name: 'w', path: join(folder, 'w') }]
  await writeFile(join(folder, 'w'), writeDtypes(Object.fromEntries(names.map((name) => [name, empty]))))
  const reader = createWeightsReader({ logger: pino({ level: 'silent' }), stepMs: 8 })
  await expect(reader.describe(parts)).rejects.toMatchObject({
    code: 'INVALID_WEIGHTS',
    message: expect.stringMatching(/crashes the reader, or the reader takes too long/) as unknown,
  })
  await reader.close()
  const patient = createWeightsReader({ logger: pino({ level: 'silent' }) })
  expect((await patient.describe(parts)).tensors).toHaveLength(9000)
  const pending = patient.describe(parts)
  await Promise.all([patient.close(), expect(pending).rejects.toMatchObject({ code: 'SHUTTING_DOWN' })])
})
