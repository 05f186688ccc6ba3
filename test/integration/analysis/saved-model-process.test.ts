import { once } from 'node:events'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { get, type ClientRequest } from 'node:http'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { ModelBody } from '../../support/client.ts'
import { kill, untilRead, whileHalted } from '../../support/halt.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { startProcess, type ServiceProcess } from '../../support/process.ts'
import { temporaryFolder } from '../../support/service.ts'
import { stagedIn } from '../../support/staging.ts'

const PATH = '/v1/models/loaded/savedmodel'
/** A dense kernel of 32 million values, much more than the part of a tensor that is in memory at once. */
const WIDE = {
  ...tiny,
  classes: 500_000,
  architecture: { ...tiny.architecture, stages: [{ blocks: 1, filters: 64 }] },
}
const LARGEST_BYTES = 4 * 64 * WIDE.classes

let folder: string
let running: ServiceProcess
let archive: Buffer
beforeAll(async () => {
  folder = await temporaryFolder()
  running = await startProcess({ DATA_DIR: folder })
  await load('loaded', { architecture: 'resnet18' })
  archive = await download()
})
afterAll(async () => {
  await running.stop()
  await rm(folder, { recursive: true })
})

/** The drawn weights of a specification, loaded as a model with a name. */
async function load(name: string, spec: object): Promise<void> {
  const { client } = running
  const drawn = await client.create(spec)
  const weights = await fetch(`${client.url}/v1/models/${drawn.id}/weights`)
  const answer = await client.form('/v1/models', [
    { name: 'spec', value: JSON.stringify({ ...spec, name }) },
    { name: 'weights', value: Buffer.from(await weights.arrayBuffer()), filename: 'weights.safetensors' },
  ])
  expect(answer.status).toBe(201)
  await client.withDigest((answer.json as ModelBody).id)
  await client.delete(`/v1/models/${drawn.id}`)
}

/** Uses fetch: the test client limits the size of responses. */
async function download(): Promise<Buffer> {
  const answer = await fetch(running.client.url + PATH)
  expect(answer.status).toBe(200)
  return Buffer.from(await answer.arrayBuffer())
}

const analysis = () => running.workers.get('analysis')
const staged = (): Promise<string[]> => stagedIn(folder)
/** Parts of checkpoints that are being written now. */
async function parts(): Promise<string[]> {
  const written = await Promise.all(
    (await staged()).map((name) => readdir(join(name, 'parts')).catch(() => [])),
  )
  return written.flat()
}
const untilWriting = () =>
  vi.waitUntil(async () => (await parts()).length > 0, { interval: 1, timeout: 30_000 })

describe('a client that disconnects leaves nothing behind', () => {
  async function leaving(when: (request: ClientRequest) => Promise<unknown>): Promise<void> {
    const request = get(running.client.url + PATH)
    request.on('error', () => undefined)
    await when(request)
    request.destroy()
    await untilRead(running.client)
    await expect.poll(staged, { timeout: 20_000 }).toEqual([])
  }

  it('in the queue', async () => {
    await whileHalted(analysis(), () => leaving(() => untilRead(running.client)))
  })

  it('while the checkpoint is written', async () => {
    await leaving(untilWriting)
  })

  it('when the response begins', async () => {
    await leaving((request) => once(request, 'response'))
  })

  it('during the response', async () => {
    await leaving(async (request) => {
      const [response] = (await once(request, 'response')) as [AsyncIterable<Buffer>]
      let bytes = 0
      for await (const part of response) if ((bytes += part.length) > archive.length / 2) break
    })
  })

  it('at any time', async () => {
    const started = performance.now()
    await download()
    const whole = performance.now() - started
    for (let share = 0; share < 1.2; share += 0.08) await leaving(() => pause(whole * share))
  })
})

describe('the analysis is killed', () => {
  it('once: the export is repeated with the same bytes', async () => {
    const answer = download()
    await untilWriting()
    kill(analysis())
    expect((await answer).equals(archive)).toBe(true)
    await expect.poll(staged).toEqual([])
  })

  it('twice: the export fails and leaves nothing', async () => {
    const answer = running.client.get(PATH)
    for (let death = 0; death < 2; death++) {
      const pid = analysis()
      await untilWriting()
      kill(pid)
      await vi.waitUntil(() => analysis() !== pid, { interval: 5, timeout: 30_000 })
    }
    expectProblem(await answer, { status: 500, code: 'ENGINE_CRASHED' })
    await expect.poll(staged).toEqual([])
    expect((await download()).equals(archive)).toBe(true)
  })
})

it('HEAD writes nothing and calls no process', async () => {
  const { headers } = await whileHalted(analysis(), () => running.client.send('head', PATH, {}))
  const answer = await fetch(running.client.url + PATH, {
    headers: { 'if-none-match': headers['etag'] ?? '' },
  })
  expect(answer.status).toBe(304)
  expect(headers['content-type']).toBe('application/x-tar')
  expect(headers['content-disposition']).toBe('attachment; filename="loaded.tar"')
})

it('has few files: tensors share a shard', () => {
  const files = archive.toString('latin1').match(/variables\.data-\d{5}-of-\d{5}/g)
  expect(files?.length).toBeLessThanOrEqual(Math.ceil(archive.length / 2 ** 23))
})

it('a tensor is never in memory as a whole', async () => {
  await load('wide', WIDE)
  const held = async (what: 'VmHWM' | 'VmRSS'): Promise<number> => {
    const status = await readFile(`/proc/${String(analysis())}/status`, 'utf8')
    return Number(new RegExp(`${what}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024
  }
  // Resets the peak (VmHWM).
  await writeFile(`/proc/${String(analysis())}/clear_refs`, '5')
  const before = await held('VmRSS')
  const answer = await fetch(`${running.client.url}/v1/models/wide/savedmodel`)
  let bytes = 0
  for await (const part of answer.body as unknown as AsyncIterable<Uint8Array>) bytes += part.length
  expect(bytes).toBeGreaterThan(LARGEST_BYTES)
  expect((await held('VmHWM')) - before).toBeLessThan(0.75 * LARGEST_BYTES)
})
