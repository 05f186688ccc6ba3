import { isSideways } from '../exif.ts'

/** Decoded pixels, uint8 [height, width, channels]: grey, RGB or CMYK. */
export interface Raster {
  readonly data: Uint8Array
  readonly width: number
  readonly height: number
  readonly channels: number
}

export interface Target {
  readonly width: number
  readonly height: number
  readonly channels: 1 | 3
}

const INKS = 4
/** Pillow's luma: 0.299, 0.587 and 0.114 of the stored values, in 1/65536. */
const LUMA = [19595, 38470, 7471] as const
const HALF = 0x8000

/**
 * Converts pixels to a target's size and channels: rotates them by the EXIF orientation, then crops to the centre or
 * pads with black.
 */
export function placePixels(raster: Raster, orientation: number, target: Target): Uint8Array {
  const { data, channels } = raster
  const walk = orient(raster, orientation)
  const same = walk.width === target.width && walk.height === target.height
  if (same && orientation === 1 && channels === target.channels) return data
  const left = centreOffset(walk.width, target.width)
  const top = centreOffset(walk.height, target.height)
  const pixels = new Uint8Array(target.width * target.height * target.channels)
  const [firstX, endX] = overlap(left, walk.width, target.width)
  const [firstY, endY] = overlap(top, walk.height, target.height)
  const copy = createCopy(data, channels, pixels, target.channels)
  for (let y = firstY; y < endY; y++) {
    let from = walk.first + (firstX + left) * walk.right + (y + top) * walk.down
    for (let x = firstX; x < endX; x++) {
      copy(from, y * target.width + x)
      from += walk.right
    }
  }
  return pixels
}

/** The upright size, the index of the first pixel, and the index steps to the right and down. */
export function orient({ width, height }: Raster, orientation: number) {
  const last = width * height - 1
  const walks: Readonly<Record<number, readonly [first: number, right: number, down: number]>> = {
    1: [0, 1, width],
    2: [width - 1, -1, width],
    3: [last, -1, -width],
    4: [last - width + 1, 1, -width],
    5: [0, width, 1],
    6: [last - width + 1, -width, 1],
    7: [last, -width, -1],
    8: [width - 1, width, -1],
  }
  const [first, right, down] = walks[orientation] ?? [0, 1, width]
  return isSideways(orientation)
    ? { width: height, height: width, first, right, down }
    : { width, height, first, right, down }
}

/** The number of pixels cropped before the centre; negative for padding. */
function centreOffset(length: number, target: number): number {
  return length >= target ? Math.floor((length - target + 1) / 2) : -Math.floor((target - length) / 2)
}

/** The range of target positions that have a source pixel. */
function overlap(offset: number, length: number, target: number): [first: number, end: number] {
  return [Math.max(0, -offset), Math.min(target, length - offset)]
}

type Copy = (from: number, to: number) => void

/** Returns a function that copies a pixel, by its index in both rasters, and converts its channels. */
export function createCopy(
  data: Uint8Array,
  channels: number,
  pixels: Uint8Array,
  targetChannels: number,
): Copy {
  const at = (index: number): number => data[index] ?? 0
  const write = (to: number, red: number, green: number, blue: number): void => {
    if (targetChannels === 1) {
      pixels[to] = (red * LUMA[0] + green * LUMA[1] + blue * LUMA[2] + HALF) >> 16
      return
    }
    pixels[3 * to] = red
    pixels[3 * to + 1] = green
    pixels[3 * to + 2] = blue
  }
  if (channels !== INKS)
    return (from, to) => {
      write(to, at(3 * from), at(3 * from + 1), at(3 * from + 2))
    }
  return (from, to) => {
    const white = 255 - at(4 * from + 3)
    const lit = (ink: number): number => Math.max(0, white - divideBy255(at(4 * from + ink) * white))
    write(to, lit(0), lit(1), lit(2))
  }
}

/** Rounds like Pillow. */
function divideBy255(product: number): number {
  return (((product + 128) >> 8) + product + 128) >> 8
}
