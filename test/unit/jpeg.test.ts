import fc from 'fast-check'
import sharp, { type Sharp } from 'sharp'
import { describe, expect, it } from 'vitest'
import { decodeImage } from '../../src/images/decode.ts'
import { plainJpegSize } from '../../src/images/jpeg.ts'
import { flowerJpeg, flowerWebp, pixelPng, truncatedJpeg } from '../support/images.ts'

const flower = { width: 320, height: 214 }
const plain: Record<string, (image: Sharp) => Sharp> = {
  baseline: (image) => image.jpeg(),
  progressive: (image) => image.jpeg({ progressive: true }),
  'full colour': (image) => image.jpeg({ chromaSubsampling: '4:4:4' }),
  grey: (image) => image.greyscale().jpeg(),
}
const special: Record<string, (image: Sharp) => Sharp> = {
  'with a profile': (image) => image.withIccProfile('p3').jpeg(),
  'on its side': (image) => image.withMetadata({ orientation: 6 }).jpeg(),
  'of four inks': (image) => image.toColourspace('cmyk').jpeg(),
}
const kinds = { ...plain, ...special }

describe('the size of a plain JPEG', () => {
  it.each(Object.keys(plain))('%s: is read from its header', async (kind) => {
    const bytes = (await plain[kind]?.(sharp(flowerJpeg)).toBuffer()) ?? Buffer.alloc(0)
    expect(plainJpegSize(bytes)).toEqual(flower)
  })

  it.each(Object.keys(special))('%s: is undefined', async (kind) => {
    const bytes = (await special[kind]?.(sharp(flowerJpeg)).toBuffer()) ?? Buffer.alloc(0)
    expect(plainJpegSize(bytes)).toBeUndefined()
  })

  it('is undefined for truncated files, trailing bytes, and other formats', () => {
    const longer = Buffer.concat([flowerJpeg, Buffer.from([0])])
    const cut = flowerJpeg.subarray(0, -1)
    for (const bytes of [truncatedJpeg, cut, longer, flowerWebp, pixelPng, Buffer.alloc(0)])
      expect(plainJpegSize(bytes)).toBeUndefined()
  })

  it('is read from arbitrary bytes without an error', () => {
    const damaged = fc
      .tuple(fc.nat(flowerJpeg.length), fc.array(fc.tuple(fc.nat(700), fc.nat(255)), { maxLength: 20 }))
      .map(([length, changes]) => {
        const bytes = Buffer.concat([flowerJpeg.subarray(0, length), Buffer.from([0xff, 0xd9])])
        for (const [offset, value] of changes) if (offset < length) bytes[offset] = value
        return bytes
      })
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), damaged), (bytes) => {
        const size = plainJpegSize(bytes)
        expect(size === undefined || (size.width >= 0 && size.height >= 0)).toBe(true)
      }),
    )
  })
})

describe("a JPEG of the model's size", () => {
  const options = { shape: [64, 64, 3], fit: 'cover', maxPixels: 100_000 } as const

  it.each(Object.keys(kinds))('%s: keeps its pixels, rotated by its EXIF orientation', async (kind) => {
    const square = await sharp(flowerJpeg).resize(64, 64).png().toBuffer()
    const bytes = (await kinds[kind]?.(sharp(square)).toBuffer()) ?? Buffer.alloc(0)
    const pixels = await sharp(bytes).autoOrient().toColourspace('srgb').raw().toBuffer()
    const decoded = await decodeImage(bytes, '#', options)
    expect(decoded).toMatchObject({ width: 64, height: 64, format: 'jpeg' })
    expect(Buffer.compare(decoded.pixels, pixels)).toBe(0)
  })

  it('with a sideways orientation is rotated before it is fitted', async () => {
    const flat = await sharp(flowerJpeg).resize(64, 32).withMetadata({ orientation: 6 }).jpeg().toBuffer()
    const decoded = await decodeImage(flat, '#', { ...options, shape: [32, 64, 3] })
    expect(decoded).toMatchObject({ width: 32, height: 64 })
    expect(decoded.pixels).toHaveLength(32 * 64 * 3)
  })

  it('with a damaged scan is rejected', async () => {
    const bytes = await sharp(flowerJpeg).resize(64, 64).jpeg().toBuffer()
    const cut = bytes.subarray(0, -300)
    const blank = Buffer.concat([cut, Buffer.alloc(298), bytes.subarray(-2)])
    const detail = expect.stringMatching(/damaged or cut off/) as string
    for (const damaged of [cut, blank])
      await expect(decodeImage(damaged, '#/images/1', options)).rejects.toMatchObject({
        code: 'INVALID_IMAGE',
        errors: [{ pointer: '#/images/1', detail }],
      })
  })
})
