import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { PredictionsBody } from '../../support/client.ts'
import { flowerJpeg, halfTransparentPng, npy } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { startService, type RunningService } from '../../support/service.ts'

/** Logits reveal the pixels of an image: they equal those of the same pixels as an array. */
let running: RunningService
beforeAll(async () => {
  running = await startService()
  await running.client.create({ ...tiny, name: 'rgb' })
  const architecture = { ...tiny.architecture, input_shape: [8, 8, 1] }
  await running.client.create({
    ...tiny,
    architecture,
    preprocessing: { scale: 1 / 255, mean: [0], std: [1] },
    name: 'grey',
  })
})
afterAll(() => running.close())

async function ofImage(image: Buffer, query = '', model = 'rgb') {
  const path = `/v1/models/${model}/predict?batch=false&include=logits${query}`
  const { json } = await running.client.upload(path, image)
  return (json as PredictionsBody).predictions[0]
}

async function ofPixels(pixels: Uint8Array, model = 'rgb', channels = 3) {
  const [logits] = await running.client.logits(model, [1, 8, 8, channels], pixels)
  return logits
}

/** An image in which every pixel has another colour. */
const colours = (width = 8, height = 8): Buffer =>
  Buffer.from(Array.from({ length: width * height * 3 }, (_, index) => (index * 37) % 256))
const rawOf = (width: number, height: number, channels: 1 | 3 | 4 = 3) => ({
  raw: { width, height, channels },
})

describe('pixels', () => {
  it("of an image of the model's size are unchanged", async () => {
    const png = await sharp(colours(), rawOf(8, 8)).png().toBuffer()
    for (const fit of ['cover', 'fill', 'contain', 'exact']) {
      expect((await ofImage(png, `&fit=${fit}`))?.logits).toEqual(await ofPixels(colours()))
    }
  })

  it('are rotated by the EXIF orientation', async () => {
    const upright = await sharp(colours(), rawOf(8, 8)).rotate(90).raw().toBuffer()
    const sideways = await sharp(colours(), rawOf(8, 8)).withMetadata({ orientation: 6 }).png().toBuffer()
    expect((await ofImage(sideways))?.logits).toEqual(await ofPixels(upright))
    const tall = await sharp(flowerJpeg).withMetadata({ orientation: 6 }).jpeg().toBuffer()
    expect((await ofImage(tall))?.image).toEqual({ width: 214, height: 320, format: 'jpeg' })
  })

  it('are flattened on black', async () => {
    const pixels = Array.from({ length: 64 }, (_, index) => [200, 100, 50, index % 2 === 0 ? 255 : 0]).flat()
    const png = await sharp(Buffer.from(pixels), rawOf(8, 8, 4))
      .png()
      .toBuffer()
    const flat = Array.from({ length: 64 }, (_, index) =>
      index % 2 === 0 ? [200, 100, 50] : [0, 0, 0],
    ).flat()
    expect((await ofImage(png))?.logits).toEqual(await ofPixels(Uint8Array.from(flat)))
    expect((await ofImage(halfTransparentPng))?.image).toEqual({ width: 64, height: 64, format: 'png' })
  })

  it('of grey images are expanded to three equal channels', async () => {
    const grey = Array.from({ length: 64 }, (_, index) => index * 3)
    const png = await sharp(Buffer.from(grey), rawOf(8, 8, 1))
      .toColourspace('b-w')
      .png()
      .toBuffer()
    const expanded = Uint8Array.from(grey.flatMap((value) => [value, value, value]))
    expect((await ofImage(png))?.logits).toEqual(await ofPixels(expanded))
    expect((await ofImage(png, '', 'grey'))?.logits).toEqual(await ofPixels(Uint8Array.from(grey), 'grey', 1))
  })

  it('of 16 bits are reduced to 8', async () => {
    const values = Uint16Array.from(colours(), (value) => value * 257)
    const png = await sharp(values, rawOf(8, 8)).toColourspace('rgb16').png().toBuffer()
    expect((await sharp(png).metadata()).depth).toBe('ushort')
    expect((await ofImage(png))?.logits).toEqual(await ofPixels(colours()))
  })
})

describe('fit', () => {
  const left = [255, 0, 0]
  const middle = [0, 255, 0]
  const row = [
    ...Array<number[]>(8).fill(left),
    ...Array<number[]>(8).fill(middle),
    ...Array<number[]>(8).fill(left),
  ]
  const wide = () =>
    sharp(Buffer.from(Array<number[][]>(8).fill(row).flat(2)), rawOf(24, 8))
      .png()
      .toBuffer()

  it('cover crops the centre', async () => {
    const logits = await ofPixels(Uint8Array.from(Array<number[]>(64).fill(middle).flat()))
    expect((await ofImage(await wide(), '&fit=cover'))?.logits).toEqual(logits)
    expect((await ofImage(await wide()))?.logits).toEqual(logits)
  })

  it('fill stretches, contain pads with black', async () => {
    const filled = await sharp(await wide())
      .resize(8, 8, { fit: 'fill' })
      .raw()
      .toBuffer()
    expect((await ofImage(await wide(), '&fit=fill'))?.logits).toEqual(await ofPixels(filled))
    const contained = await sharp(await wide())
      .resize(8, 8, { fit: 'contain', background: '#000' })
      .raw()
      .toBuffer()
    expect((await ofImage(await wide(), '&fit=contain'))?.logits).toEqual(await ofPixels(contained))
    expect(contained.subarray(0, 3)).toEqual(Buffer.from([0, 0, 0]))
  })
})

it('an array without its batch dimension is one image', async () => {
  expect((await ofImage(npy([8, 8, 3], Uint8Array.from(colours()))))?.logits).toEqual(
    await ofPixels(colours()),
  )
})
