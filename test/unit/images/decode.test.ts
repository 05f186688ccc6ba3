import sharp, { type Sharp } from 'sharp'
import { describe, expect, it } from 'vitest'
import { decodeImage } from '../../../src/images/worker/decode.ts'
import { flowerJpeg } from '../../support/images.ts'

const options = {
  shape: [64, 64, 3],
  fit: 'cover',
  resize: null,
  maxPixels: 100_000,
  maxBytes: 350e6,
} as const
/** Variants of the photograph, which has 320 by 214 pixels. */
const kinds: Record<string, (image: Sharp) => Sharp> = {
  baseline: (image) => image.jpeg(),
  progressive: (image) => image.jpeg({ progressive: true }),
  'full colour': (image) => image.jpeg({ chromaSubsampling: '4:4:4' }),
  grey: (image) => image.greyscale().jpeg(),
  'with a profile': (image) => image.withIccProfile('p3').jpeg(),
  'on its side': (image) => image.withMetadata({ orientation: 6 }).jpeg(),
}

function ignoringProfiles(bytes: Buffer): Sharp {
  return sharp(bytes, { ignoreIcc: true }).autoOrient().toColourspace('srgb')
}

describe('a JPEG with the size of the model', () => {
  it.each(Object.keys(kinds))('%s: keeps its pixels, rotated by its EXIF orientation', async (kind) => {
    const square = await sharp(flowerJpeg).resize(64, 64).png().toBuffer()
    const bytes = (await kinds[kind]?.(sharp(square)).toBuffer()) ?? Buffer.alloc(0)
    const decoded = await decodeImage(bytes, 'jpeg', options)
    expect(decoded).toMatchObject({ width: 64, height: 64, format: 'jpeg' })
    expect(Buffer.compare(decoded.pixels, await ignoringProfiles(bytes).raw().toBuffer())).toBe(0)
  })

  it('is rejected if its scan is damaged', async () => {
    const bytes = await sharp(flowerJpeg).resize(64, 64).jpeg().toBuffer()
    const cut = bytes.subarray(0, -300)
    const blank = Buffer.concat([cut, Buffer.alloc(298), bytes.subarray(-2)])
    for (const damaged of [cut, blank])
      await expect(decodeImage(damaged, 'jpeg', options)).rejects.toThrow(/damaged or cut off/)
  })
})

describe('an image of another size', () => {
  const fits = ['cover', 'fill', 'contain'] as const
  const sizes = [
    [64, 64],
    [63, 40],
    [40, 63],
    [201, 301],
    [400, 401],
    [31, 500],
  ] as const

  it.each(fits.flatMap((fit) => sizes.map(([width, height]) => [fit, width, height] as const)))(
    'is cropped and padded like with sharp: %s to %i x %i',
    async (fit, width, height) => {
      const shape = [height, width, 3]
      const { pixels } = await decodeImage(flowerJpeg, 'jpeg', { ...options, shape, fit })
      const expected = ignoringProfiles(flowerJpeg).resize(width, height, { fit, background: '#000' })
      expect(Buffer.compare(pixels, await expected.raw().toBuffer())).toBe(0)
    },
  )

  it.each(fits)('is rotated and resized in either order: %s', async (fit) => {
    const shape = [80, 50, 3]
    for (let orientation = 1; orientation <= 8; orientation++) {
      const sideways = await sharp(flowerJpeg).withMetadata({ orientation }).jpeg({ quality: 95 }).toBuffer()
      const upright = await ignoringProfiles(sideways).png().toBuffer()
      const [turned, expected] = await Promise.all([
        decodeImage(sideways, 'jpeg', { ...options, shape, fit }),
        decodeImage(upright, 'png', { ...options, shape, fit }),
      ])
      expect([turned.width, turned.height]).toEqual([expected.width, expected.height])
      const away = turned.pixels.reduce(
        (sum, value, at) => sum + Math.abs(value - (expected.pixels[at] ?? NaN)),
        0,
      )
      expect(away / turned.pixels.length).toBeLessThan(2)
    }
  })

  it.each([
    [60_000, 1],
    [1, 60_000],
    [20_000, 3],
  ])('is resized at any aspect ratio: %i x %i', async (width, height) => {
    const strip = await sharp({ create: { width, height, channels: 3, background: '#123456' } })
      .png()
      .toBuffer()
    for (const fit of fits) {
      const { pixels } = await decodeImage(strip, 'png', { ...options, shape: [224, 224, 3], fit })
      const middle = 3 * (111 * 224 + 111)
      expect([...pixels.subarray(middle, middle + 3)]).toEqual([0x12, 0x34, 0x56])
    }
  })

  it('is rejected for damage in its cropped part', async () => {
    const tall = await sharp(flowerJpeg).resize(100, 2000, { fit: 'fill' }).png().toBuffer()
    const damaged = Buffer.from(tall)
    damaged.fill(0x55, tall.length - 3000, tall.length - 2000)
    await expect(decodeImage(tall, 'png', options).then(({ height }) => height)).rejects.toThrow(
      /200000 pixels/,
    )
    const larger = { ...options, maxPixels: 1e6 }
    expect((await decodeImage(tall, 'png', larger)).height).toBe(2000)
    const jpeg = await sharp(tall).jpeg().toBuffer()
    const cut = Buffer.concat([jpeg.subarray(0, -1000), jpeg.subarray(-2)])
    for (const [bytes, format] of [
      [damaged, 'png'],
      [cut, 'jpeg'],
    ] as const)
      await expect(decodeImage(bytes, format, larger)).rejects.toThrow(/damaged or cut off/)
  })
})

it('an image that needs too much memory is rejected with both numbers', async () => {
  const bytes = await sharp(flowerJpeg).jpeg({ progressive: true, chromaSubsampling: '4:4:4' }).toBuffer()
  const frame = bytes.indexOf(Buffer.from([0xff, 0xc2]))
  const scan = bytes.indexOf(Buffer.from([0xff, 0xda]))
  const data = scan + 2 + bytes.readUInt16BE(scan + 2)
  bytes.writeUInt16BE(9000, frame + 5)
  bytes.writeUInt16BE(9000, frame + 7)
  // The size of the first scan is plausible for so many blocks.
  const filled = Buffer.concat([bytes.subarray(0, data), Buffer.alloc(500_000), bytes.subarray(data)])
  await expect(decodeImage(filled, 'jpeg', { ...options, maxPixels: 1e9 })).rejects.toThrow(
    /needs \d\d\d MB to decode, more than the 350 allowed/,
  )
})
