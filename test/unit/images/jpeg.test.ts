import fc from 'fast-check'
import sharp, { type Sharp } from 'sharp'
import { describe, expect, it } from 'vitest'
import { plainJpegSize } from '../../../src/images/jpeg.ts'
import { flowerJpeg, flowerWebp, pixelPng, truncatedJpeg } from '../../support/images.ts'

const flower = { width: 320, height: 214 }
const plain: Record<string, (image: Sharp) => Sharp> = {
  baseline: (image) => image.jpeg(),
  progressive: (image) => image.jpeg({ progressive: true }),
  'full colour': (image) => image.jpeg({ chromaSubsampling: '4:4:4' }),
  grey: (image) => image.greyscale().jpeg(),
  'with a profile': (image) => image.withIccProfile('p3').jpeg(),
  'with EXIF, upright': (image) => image.withMetadata({ orientation: 1 }).jpeg(),
}
const special: Record<string, (image: Sharp) => Sharp> = {
  'on its side': (image) => image.withMetadata({ orientation: 6 }).jpeg(),
  'of four inks': (image) => image.toColourspace('cmyk').jpeg(),
}

const marker = (second: number): Buffer => Buffer.from([0xff, second])

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

  it('is undefined for files with other segments than scans and tables after the first scan', async () => {
    const progressive = await sharp(flowerJpeg).jpeg({ progressive: true }).toBuffer()
    const last = progressive.lastIndexOf(marker(0xda))
    const before = (bytes: Buffer): Buffer =>
      Buffer.concat([progressive.subarray(0, last), bytes, progressive.subarray(last)])
    expect(plainJpegSize(before(Buffer.alloc(0)))).toEqual(flower)
    const scan = progressive.subarray(last, -2)
    const inserted = [marker(0xff), marker(0xd8), marker(0xd9), Buffer.from('ffe00002', 'hex')]
    for (const bytes of [
      ...inserted,
      ...[20, 2000].map((count) => Buffer.concat(Array<Buffer>(count).fill(scan))),
    ])
      expect(plainJpegSize(before(bytes))).toBeUndefined()
  })

  it('is undefined for files with more bytes than pixels', async () => {
    const small = await sharp(flowerJpeg).resize(16, 16).jpeg().toBuffer()
    const comment = Buffer.concat([Buffer.from('fffefffe', 'hex'), Buffer.alloc(0xfffc)])
    const long = Buffer.concat([small.subarray(0, 2), comment, comment, small.subarray(2)])
    expect(plainJpegSize(small)).toEqual({ width: 16, height: 16 })
    expect(plainJpegSize(long)).toBeUndefined()
  })

  it('accepts any bytes', () => {
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
