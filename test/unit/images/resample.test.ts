import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Resize } from '../../../src/images/decoder-contract.ts'
import { cropCentre, resizeShortSide } from '../../../src/images/resized-size.ts'
import { resample } from '../../../src/images/worker/resample.ts'
import { resizeAndCrop } from '../../../src/images/worker/resize-and-crop.ts'

/** Written by test/fixtures/resize/write.py. */
interface Cases {
  readonly resized: readonly {
    readonly from: readonly [width: number, height: number]
    readonly to: readonly [width: number, height: number]
    readonly interpolation: Resize['interpolation']
    readonly pixels: string
  }[]
  readonly cropped: readonly {
    readonly from: readonly [width: number, height: number]
    readonly resize: Resize
    readonly size: readonly [width: number, height: number]
    readonly crop: readonly [height: number, width: number]
    readonly pixels: string
  }[]
}
const path = new URL('../../fixtures/resize/cases.json', import.meta.url)
const { resized, cropped } = JSON.parse(readFileSync(path, 'utf8')) as Cases

function pixelsOf(width: number, height: number): Uint8Array {
  return Uint8Array.from({ length: width * height * 3 }, (_, index) => (index * 7919 + index * index) % 256)
}

const decodePixels = (text: string): number[] => [...Buffer.from(text, 'base64')]

describe('an image is resized to the pixels of Pillow', () => {
  it.each(resized)('$interpolation, $from to $to', ({ from, to, interpolation, pixels }) => {
    const [width, height] = from
    const image = pixelsOf(width, height)
    const read = (y: number): Uint8Array => image.subarray(y * width * 3, (y + 1) * width * 3)
    const axis = (side: 0 | 1) => ({ from: from[side], to: to[side], first: 0, end: to[side] })
    expect([...resample(read, axis(0), axis(1), interpolation)]).toEqual(decodePixels(pixels))
  })
})

describe("an image is resized and cropped to the pixels of torchvision's Resize and CenterCrop", () => {
  it.each(cropped)('$from with $resize to $crop', ({ from, resize, size, crop, pixels }) => {
    const [[width, height], [cropHeight, cropWidth]] = [from, crop]
    const raster = { data: pixelsOf(width, height), width, height, channels: 3 }
    expect(resizeShortSide({ width, height }, resize.short_side)).toEqual({ width: size[0], height: size[1] })
    const target = { width: cropWidth, height: cropHeight, channels: 3 } as const
    expect([...resizeAndCrop(raster, 1, resize, target)]).toEqual(decodePixels(pixels))
  })
})

describe('a size is rounded as in torchvision', () => {
  it.each([
    [640, 427, 256, 383, 256],
    [427, 640, 256, 256, 383],
    [500, 375, 256, 341, 256],
    [224, 224, 256, 256, 256],
    [1, 60_000, 256, 256, 15_360_000],
    [60_000, 1, 1, 60_000, 1],
  ])('%i x %i with a short side of %i: %i x %i', (width, height, side, resizedWidth, resizedHeight) => {
    expect(resizeShortSide({ width, height }, side)).toEqual({ width: resizedWidth, height: resizedHeight })
  })

  it.each([
    ['0.5 to 0', 9, 8, 0, 8],
    ['1.5 to 2', 11, 8, 2, 10],
    ['2.5 to 2', 13, 8, 2, 10],
    ['58.5 to 58', 341, 224, 58, 282],
    ['79.5 to 80', 383, 224, 80, 304],
    ['an equal length', 8, 8, 0, 8],
    ['a shorter length', 5, 8, 0, 5],
  ])('offset of the crop: %s', (_, length, crop, first, end) => {
    expect(cropCentre(length, crop)).toEqual({ first, end })
  })
})
