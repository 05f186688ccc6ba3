import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { resizeAndCrop } from '../../../src/images/worker/resize-and-crop.ts'
import type { PredictionsBody } from '../../support/client.ts'
import { flowerJpeg, halfTransparentPng, npy } from '../../support/images.ts'
import { windowOf } from '../../support/networks.ts'
import { startService, type RunningService } from '../../support/service.ts'

const [HEIGHT, WIDTH] = [24, 32] as const
const resize = { short_side: 30, interpolation: 'bicubic' } as const
const target = { width: WIDTH, height: HEIGHT, channels: 3 } as const

/** The features of the models are the pixels of their input. */
let running: RunningService
beforeAll(async () => {
  running = await startService()
  const plain = windowOf(HEIGHT, WIDTH)
  await running.client.create({ ...plain, name: 'plain' })
  await running.client.create({ ...plain, preprocessing: { resize }, name: 'resized' })
  const grey = { ...windowOf(HEIGHT, WIDTH, 1), preprocessing: { resize } }
  await running.client.create({ ...grey, name: 'grey' })
})
afterAll(() => running.close())

async function featuresOf(model: string, image: Buffer, query = '', type?: string): Promise<number[]> {
  const path = `/v1/models/${model}/predict?include=features${query}`
  const answer = await running.client.upload(path, image, type)
  expect(answer.status).toBe(200)
  return ((answer.json as PredictionsBody).predictions[0]?.features ?? []).map(Number)
}

/** The resized pixels of a file that sharp decodes upright, with transparency on black. */
async function resizedPixels(file: Buffer, channels: 1 | 3 = 3): Promise<number[]> {
  const pipeline = sharp(file, { ignoreIcc: true }).autoOrient().flatten({ background: '#000' })
  const { data, info } = await pipeline.toColourspace('srgb').raw().toBuffer({ resolveWithObject: true })
  const raster = { data, width: info.width, height: info.height, channels: info.channels }
  return [...resizeAndCrop(raster, 1, resize, { ...target, channels })]
}

const ownSize = () => sharp(flowerJpeg).resize(WIDTH, HEIGHT).jpeg({ quality: 95 }).toBuffer()

describe("a model's own resizing", () => {
  it("applies to images of any size, also of the model's", async () => {
    for (const file of [flowerJpeg, await ownSize(), await sharp(flowerJpeg).resize(9, 40).png().toBuffer()])
      expect(await featuresOf('resized', file)).toEqual(await resizedPixels(file))
    const [plain, resized] = await Promise.all([
      featuresOf('plain', await ownSize()),
      featuresOf('resized', await ownSize()),
    ])
    expect(resized).not.toEqual(plain)
  })

  it.each(['fill', 'contain', 'exact'])('is not used with fit=%s', async (fit) => {
    const file = fit === 'exact' ? await ownSize() : flowerJpeg
    const query = `&fit=${fit}`
    expect(await featuresOf('resized', file, query)).toEqual(await featuresOf('plain', file, query))
  })

  it('does not change arrays', async () => {
    const pixels = Uint8Array.from({ length: HEIGHT * WIDTH * 3 }, (_, index) => (index * 37) % 256)
    const array = npy([1, HEIGHT, WIDTH, 3], pixels)
    expect(await featuresOf('resized', array, '', 'application/x-npy')).toEqual([...pixels])
  })

  it('follows the blending of transparency with black', async () => {
    expect(await featuresOf('resized', halfTransparentPng)).toEqual(await resizedPixels(halfTransparentPng))
  })

  it('follows the rotation by the EXIF orientation', async () => {
    for (let orientation = 1; orientation <= 8; orientation++) {
      const file = await sharp(flowerJpeg).withMetadata({ orientation }).png().toBuffer()
      expect(await featuresOf('resized', file)).toEqual(await resizedPixels(file))
    }
  })

  it('precedes the conversion to grey', async () => {
    expect(await featuresOf('grey', flowerJpeg)).toEqual(await resizedPixels(flowerJpeg, 1))
  })

  it('crops long narrow images', async () => {
    for (const [width, height] of [
      [60_000, 1],
      [1, 60_000],
    ] as const) {
      const create = { width, height, channels: 3, background: '#123456' } as const
      const strip = await sharp({ create }).png().toBuffer()
      expect((await featuresOf('resized', strip)).slice(0, 3)).toEqual(
        width > height ? [0x12, 0x34, 0x56] : [0, 0, 0],
      )
    }
  })

  it('gives the same logits on every route', async () => {
    const b64 = (await ownSize()).toString('base64')
    const path = '/v1/models/resized/predict?include=logits&batch=false'
    const { predictions } = (await running.client.upload(path, await ownSize())).json as PredictionsBody
    const served = await running.client.post('/v1/models/resized:predict', { instances: [{ b64 }] })
    const input = { name: 'image_bytes', datatype: 'BYTES', shape: [1], data: [b64] }
    const inferred = await running.client.post('/v2/models/resized/infer', {
      inputs: [input],
      outputs: [{ name: 'logits' }],
    })
    const wanted = (predictions[0]?.logits ?? []).map(Number)
    const { outputs } = inferred.json as { outputs: { data: number[] }[] }
    expect(outputs[0]?.data.map(Math.fround)).toEqual(wanted.map(Math.fround))
    expect(served.status).toBe(200)
    expect(JSON.stringify(served.json)).toContain(String(wanted[0]).slice(0, 8))
  })
})

it('is in the record, and null without it', async () => {
  const of = async (name: string) =>
    (await running.client.get(`/v1/models/${name}`)).json as {
      spec: { preprocessing: { resize: unknown } }
    }
  expect((await of('resized')).spec.preprocessing.resize).toEqual(resize)
  expect((await of('plain')).spec.preprocessing.resize).toBeNull()
})
