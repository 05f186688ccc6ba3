import { readFile, rm } from 'node:fs/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { tiny } from '../../support/networks.ts'
import { startProcess, type ServiceProcess } from '../../support/process.ts'
import { temporaryFolder } from '../../support/service.ts'

let folder: string
let running: ServiceProcess
beforeAll(async () => {
  folder = await temporaryFolder()
  running = await startProcess({ DATA_DIR: folder })
  await running.client.create({ ...tiny, name: 'net' })
  await running.client.logits('net', [1, 8, 8, 3], new Uint8Array(192))
  await running.client.get('/v1/models/net/statistics')
})
afterAll(async () => {
  await running.stop()
  await rm(folder, { recursive: true })
})

const pidOf = (worker: string) => running.workers.get(worker)
const librariesOf = (pid: number | undefined): Promise<string> =>
  readFile(`/proc/${String(pid)}/maps`, 'utf8')
const variablesOf = async (pid: number | undefined): Promise<string[]> =>
  (await readFile(`/proc/${String(pid)}/environ`, 'utf8')).split('\0')

it('the HTTP process never loads TensorFlow; its children do', async () => {
  expect(await librariesOf(running.pid)).not.toMatch(/tensorflow|tfjs/i)
  expect(await librariesOf(pidOf('engine'))).toMatch(/libtensorflow/)
  expect(await librariesOf(pidOf('analysis'))).toMatch(/libtensorflow/)
})

it('decoders alone load libvips', async () => {
  expect(await librariesOf(pidOf('decoder'))).toMatch(/vips/)
  for (const pid of [running.pid, pidOf('engine'), pidOf('analysis')])
    expect(await librariesOf(pid)).not.toMatch(/vips/)
})

it('frozen weights are assumed where sessions run, and nowhere else', async () => {
  const assumed = 'TF_ONEDNN_ASSUME_FROZEN_WEIGHTS=1'
  expect(await variablesOf(pidOf('engine'))).toContain(assumed)
  expect(await variablesOf(pidOf('analysis'))).not.toContain(assumed)
  expect(await variablesOf(running.pid)).not.toContain(assumed)
})

it('HEAD of the weights draws nothing', async () => {
  const { id } = await running.client.create({ architecture: 'resnet18' })
  await running.client.withDigest(id)
  /** Processor time that the analysis spends, in ticks of 10 ms. */
  const spent = async (method: 'head' | 'get'): Promise<number> => {
    const ticks = async (): Promise<number> => {
      const fields = (await readFile(`/proc/${String(pidOf('analysis'))}/stat`, 'utf8')).split(' ')
      return Number(fields[13]) + Number(fields[14])
    }
    const before = await ticks()
    const { headers } = await running.client.send(method, `/v1/models/${id}/weights`, {})
    expect(Number(headers['content-length'])).toBeGreaterThan(4 * 11_000_000)
    // Work after the response would take at least one checkpoint per tensor.
    for (let turn = 0; turn < 200; turn++)
      await running.client.post('/v1/initializers/zeros/sample', { shape: [1] })
    return (await ticks()) - before
  }
  expect(2 * (await spent('head'))).toBeLessThan(await spent('get'))
})
