import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { request } from 'node:http'
import sharp from 'sharp'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { flowerJpeg, flowerWebp, halfTransparentPng } from '../../support/images.ts'
import { halt, kill, untilRead } from '../../support/halt.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { decodersOf, runs, startProcess, type ServiceProcess } from '../../support/process.ts'
import { temporaryFolder } from '../../support/service.ts'

const PATH = '/v1/models/net/predict'
const TIMEOUT_MS = 3000
/** Longer than anything here takes. */
const HANG = { timeout: 60_000 }

let folder: string
let running: ServiceProcess
beforeEach(async () => {
  folder = await temporaryFolder()
  running = await startProcess({
    ...{ DATA_DIR: folder, ENGINES: '1', IMAGE_TIMEOUT_MS: String(TIMEOUT_MS), SHUTDOWN_TIMEOUT_MS: '4000' },
  })
  await running.client.create({ ...tiny, name: 'net' })
})
afterEach(async () => {
  await running.stop()
  await rm(folder, { recursive: true })
})

const predict = (image: Buffer) => running.client.upload(PATH, image, 'application/octet-stream')
const latest = (): number => decodersOf(running).at(-1) ?? 0
/** The decoder after the one that is there now. */
const untilReplaced = (pid: number): Promise<void> =>
  vi.waitFor(() => {
    expect(latest()).not.toBe(pid)
  }, HANG)

it('an image whose decoder is killed is decoded by the next, and no other is disturbed', async () => {
  const pid = latest()
  halt(pid)
  const stuck = predict(flowerWebp)
  // A second decoder is started for it.
  expect((await predict(halfTransparentPng)).status).toBe(200)
  kill(pid)
  expect((await stuck).status).toBe(200)
})

it('an image that ends every decoder is refused alone', async () => {
  const blank = sharp({ create: { width: 7000, height: 7000, channels: 3, background: '#808080' } })
  const slow = await blank.jpeg({ progressive: true }).toBuffer()
  const first = latest()
  const refused = predict(slow)
  await untilRead(running.client)
  kill(first)
  await untilReplaced(first)
  kill(latest())
  expectProblem(await refused, {
    status: 422,
    code: 'INVALID_IMAGE',
    pointer: '#',
    says: /crashes the decoder/,
  })
  expect((await predict(flowerJpeg)).status).toBe(200)
})

it('an image that takes too long is refused with the limit, and its decoder is replaced', async () => {
  const pid = latest()
  halt(pid)
  expectProblem(await predict(flowerWebp), {
    status: 422,
    code: 'INVALID_IMAGE',
    pointer: '#',
    says: /takes longer than 3000 ms to decode \(IMAGE_TIMEOUT_MS\)/,
  })
  await untilReplaced(pid)
  expect(runs(pid)).toBe(false)
  expect((await predict(flowerWebp)).status).toBe(200)
})

it('an image whose client leaves keeps no decoder', async () => {
  const pid = latest()
  halt(pid)
  const { port, hostname } = new URL(running.client.url)
  const left = request({
    port,
    hostname,
    path: PATH,
    method: 'POST',
    headers: { 'content-type': 'image/webp' },
  })
  left.on('error', () => undefined)
  left.end(flowerWebp)
  await once(left, 'finish')
  await untilRead(running.client)
  left.destroy()
  await untilReplaced(pid)
  expect(running.log.find(({ msg }) => msg === 'worker is replaced')).toMatchObject({
    pid,
    why: 'client left',
  })
})

it('SIGTERM while an image is decoded ends the service in time, and its decoder', async () => {
  const pid = latest()
  halt(pid)
  const stuck = predict(flowerWebp)
  await untilRead(running.client)
  expect(await running.stop()).toBe(0)
  // At three quarters of SHUTDOWN_TIMEOUT_MS what is not ready is refused, at IMAGE_TIMEOUT_MS the image.
  expect([422, 503]).toContain((await stuck).status)
  await vi.waitUntil(() => !runs(pid), HANG)
})

it('what libraries write in the engine is in the output of the service', async () => {
  const small = await sharp(flowerJpeg).resize(8, 8).jpeg().toBuffer()
  const scan = small.indexOf(Buffer.from([0xff, 0xda])) + 14
  const hollow = Buffer.concat([small.subarray(0, scan), small.subarray(-2)])
  // In an image of one row of blocks libvips finds no damage, as Pillow: the warning alone is of interest here.
  await predict(hollow)
  await vi.waitFor(() => {
    expect(running.output()).toContain('Corrupt JPEG data: premature end of data segment')
  }, HANG)
})

it('the death of the service is the death of its decoders', async () => {
  const pids = decodersOf(running)
  await running.stop('SIGKILL')
  await vi.waitUntil(() => !pids.some(runs), HANG)
})
