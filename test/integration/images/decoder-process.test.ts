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
/** Longer than any image takes here. */
const HANG = { timeout: 60_000 }

let folder: string
let running: ServiceProcess
beforeEach(async () => {
  folder = await temporaryFolder()
  running = await startProcess({
    ...{ DATA_DIR: folder, ENGINES: '1', IMAGE_TIMEOUT_MS: String(TIMEOUT_MS), SHUTDOWN_TIMEOUT_MS: '20000' },
  })
  await running.client.create({ ...tiny, name: 'net' })
})
afterEach(async () => {
  await running.stop()
  await rm(folder, { recursive: true })
})

const predict = (image: Buffer) => running.client.upload(PATH, image, 'application/octet-stream')
const latest = (): number => decodersOf(running).at(-1) ?? 0
/** Waits for the successor of the present decoder. */
const untilReplaced = (pid: number): Promise<void> =>
  vi.waitFor(() => {
    expect(latest()).not.toBe(pid)
  }, HANG)

it('an image whose decoder is killed is decoded by the next one, without effect on other images', async () => {
  const pid = latest()
  halt(pid)
  const stuck = predict(flowerWebp)
  // This starts a second decoder.
  expect((await predict(halfTransparentPng)).status).toBe(200)
  kill(pid)
  expect((await stuck).status).toBe(200)
})

it('an image that crashes every decoder is rejected without effect on other images', async () => {
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

it('an image that takes too long is rejected with the limit, and its decoder is replaced', async () => {
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

it('an aborted image releases its decoder', async () => {
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

it('SIGTERM during decoding stops the service and the decoder in time', async () => {
  const pid = latest()
  halt(pid)
  const stuck = predict(flowerWebp)
  await untilRead(running.client)
  expect(await running.stop()).toBe(0)
  // Requests are rejected after 75 % of SHUTDOWN_TIMEOUT_MS, or the image is after IMAGE_TIMEOUT_MS.
  expect([422, 503]).toContain((await stuck).status)
  await vi.waitUntil(() => !runs(pid), HANG)
})

it('the output of libraries in the engine is in the output of the service', async () => {
  const small = await sharp(flowerJpeg).resize(8, 8).jpeg().toBuffer()
  const scan = small.indexOf(Buffer.from([0xff, 0xda])) + 14
  const hollow = Buffer.concat([small.subarray(0, scan), small.subarray(-2)])
  // libvips finds no damage in an image with one row of blocks, and neither does Pillow; only the warning
  // matters here.
  await predict(hollow)
  await vi.waitFor(() => {
    expect(running.output()).toContain('Corrupt JPEG data: premature end of data segment')
  }, HANG)
})

it('decoders exit when the service is killed', async () => {
  const pids = decodersOf(running)
  await running.stop('SIGKILL')
  await vi.waitUntil(() => !pids.some(runs), HANG)
})
