import { readFile, rm } from 'node:fs/promises'
import { crc32, deflateSync } from 'node:zlib'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { flowerJpeg, flowerWebp, halfTransparentPng, pixelPng } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { decodersOf, runs, startProcess, type ServiceProcess } from '../../support/process.ts'
import { temporaryFolder } from '../../support/service.ts'

const MAX_RESIDENT_KB = 500_000

let folder: string
let running: ServiceProcess
beforeAll(async () => {
  folder = await temporaryFolder()
  running = await startProcess({ DATA_DIR: folder, ENGINES: '1' })
  await running.client.create({ ...tiny, name: 'net' })
  const architecture = { ...tiny.architecture, input_shape: [224, 224, 3] }
  await running.client.create({ ...tiny, architecture, name: 'large' })
})
afterAll(async () => {
  await running.stop()
  await rm(folder, { recursive: true })
})

const predict = (image: Buffer, model = 'net') =>
  running.client.upload(`/v1/models/${model}/predict`, image, 'application/octet-stream')
const refusal = (says: RegExp) => ({ status: 422, code: 'INVALID_IMAGE', pointer: '#', says }) as const
const decoders = (): number[] => decodersOf(running).filter(runs)

/** The peak resident memory of a process, in KB. */
async function mostResident(pid: number): Promise<number> {
  const status = await readFile(`/proc/${String(pid)}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1])
}

/** A progressive JPEG that repeats its last scan many times. */
async function scanBomb(side: number, scans: number): Promise<Buffer> {
  const image = sharp({ create: { width: side, height: side, channels: 3, background: '#808080' } })
  const jpeg = await image.jpeg({ progressive: true }).toBuffer()
  const last = jpeg.lastIndexOf(Buffer.from([0xff, 0xda]))
  const more = Array<Buffer>(scans).fill(jpeg.subarray(last, -2))
  return Buffer.concat([jpeg.subarray(0, -2), ...more, jpeg.subarray(-2)])
}

function chunk(type: string, data: Buffer): Buffer {
  const [length, checksum, named] = [
    Buffer.alloc(4),
    Buffer.alloc(4),
    Buffer.concat([Buffer.from(type), data]),
  ]
  length.writeUInt32BE(data.length)
  checksum.writeUInt32BE(crc32(named))
  return Buffer.concat([length, named, checksum])
}

/** A PNG with chunks after its header. */
function pngWith(chunks: readonly Buffer[]): Buffer {
  const header = 8 + 25
  return Buffer.concat([pixelPng.subarray(0, header), ...chunks, pixelPng.subarray(header)])
}

const zeros = (bytes: number): Buffer => deflateSync(Buffer.alloc(bytes), { level: 9 })

describe('excessive input is rejected or ignored:', () => {
  it('900 texts that inflate to 7 GB', async () => {
    const text = Buffer.concat([Buffer.from('k\0\0'), zeros(7_900_000)])
    const bomb = pngWith(Array<Buffer>(900).fill(chunk('zTXt', text)))
    expectProblem(await predict(bomb), refusal(/texts that inflate to more than/))
  })

  it('a profile and unknown chunks that inflate to gigabytes', async () => {
    const large = zeros(200_000_000)
    const profile = chunk('iCCP', Buffer.concat([Buffer.from('name\0\0'), large]))
    const answer = await predict(pngWith([profile, ...Array<Buffer>(20).fill(chunk('abCd', large))]))
    expect(answer.status).toBe(200)
  })

  it('thousands of scans, while other requests are answered', async () => {
    const bombs = [await scanBomb(6000, 2000), await scanBomb(224, 100_000)]
    const answers = bombs.flatMap((bomb) =>
      ['net', 'large'].flatMap((model) => [predict(bomb, model), predict(bomb, model)]),
    )
    const others = [predict(flowerWebp), predict(halfTransparentPng, 'large'), predict(flowerJpeg)]
    for (const answer of await Promise.all(others)) expect(answer.status).toBe(200)
    for (const answer of await Promise.all(answers))
      expectProblem(answer, refusal(/more than (27|100) scans, the limit for \d+ pixels/))
  })

  it('more pixels than the setting allows, in the header only', async () => {
    const large = Buffer.from(pixelPng)
    large.writeUInt32BE(100_000, 16)
    large.writeUInt32BE(100_000, 20)
    large.writeUInt32BE(crc32(large.subarray(12, 29)), 29)
    expectProblem(
      await predict(large),
      refusal(/has 10000000000 pixels, more than the 52000000 allowed \(MAX_IMAGE_PIXELS\)/),
    )
  })

  it.each([
    ['48 megapixels', 8064, 6048, false],
    ['50 megapixels, progressive', 8192, 6144, true],
  ])('but a photograph of %s is decoded', async (_, width, height, progressive) => {
    const photograph = await sharp(flowerJpeg)
      .resize(width, height, { fit: 'fill' })
      .jpeg({ progressive })
      .toBuffer()
    const answer = await predict(photograph)
    expect(answer.json).toMatchObject({ predictions: [{ image: { width, height, format: 'jpeg' } }] })
  })

  it('and no process uses 500 MB', async () => {
    expect(decoders().length).toBeGreaterThan(0)
    for (const pid of [running.pid, ...decoders()])
      expect(await mostResident(pid)).toBeLessThan(MAX_RESIDENT_KB)
    for (const pid of decoders()) {
      const [limits, maps] = await Promise.all(
        ['limits', 'maps'].map((name) => readFile(`/proc/${String(pid)}/${name}`, 'utf8')),
      )
      // V8's reservation for compiled code comes on top.
      const reserved = [...(maps ?? '').matchAll(/^([\da-f]+)-([\da-f]+) rwxp /gm)]
        .map(([, start = '', end = '']) => parseInt(end, 16) - parseInt(start, 16))
        .filter((bytes) => bytes >= 2 ** 26)
        .reduce((sum, bytes) => sum + bytes, 0)
      expect(Number(/Max data size\s+(\d+)/.exec(limits ?? '')?.[1])).toBeLessThanOrEqual(420e6 + reserved)
    }
    expect(running.log.filter(({ msg }) => msg === 'worker died')).toEqual([])
  })
})
