import type { Interpolation } from '../decoder-contract.ts'
import type { Range } from '../resized-size.ts'
import { findNearest, WEIGHT_BITS, weighTaps, type Axis, type Taps } from './resample-taps.ts'

/**
 * Returns the pixels of row y of an upright image, uint8 [width, 3], at least those of `columns`. They are read before the
 * next call.
 */
export type ReadRow = (y: number, columns: Range) => Uint8Array

const CHANNELS = 3
const HALF = 2 ** (WEIGHT_BITS - 1)

/**
 * Resizes an image as Pillow's `Image.resize` does, and computes only the pixels of a window: uint8 [rows, columns, 3]. The
 * columns are resized first; both passes round to 8 bits (Pillow, src/libImaging/Resample.c; nearest: Geometry.c).
 */
export function resample(read: ReadRow, columns: Axis, rows: Axis, interpolation: Interpolation): Uint8Array {
  if (interpolation === 'nearest') return pickPixels(read, columns, rows)
  const across = weighTaps(columns, interpolation)
  const down = weighTaps(rows, interpolation)
  const { first, end } = down.source
  const rowLength = (columns.end - columns.first) * CHANNELS
  const narrowed = new Uint8ClampedArray((end - first) * rowLength)
  for (let y = first; y < end; y++)
    resampleRow(read(y, across.source), across, narrowed.subarray((y - first) * rowLength))
  return resampleColumns(narrowed, rowLength, down)
}

function resampleRow(row: Uint8Array, { starts, counts, weights, size }: Taps, out: Uint8ClampedArray): void {
  for (let x = 0; x < starts.length; x++) {
    const count = counts[x] ?? 0
    let [red, green, blue] = [HALF, HALF, HALF]
    let at = (starts[x] ?? 0) * CHANNELS
    for (let tap = x * size; tap < x * size + count; tap++) {
      const weight = weights[tap] ?? 0
      red += Math.imul(row[at] ?? 0, weight)
      green += Math.imul(row[at + 1] ?? 0, weight)
      blue += Math.imul(row[at + 2] ?? 0, weight)
      at += CHANNELS
    }
    out[x * CHANNELS] = red >> WEIGHT_BITS
    out[x * CHANNELS + 1] = green >> WEIGHT_BITS
    out[x * CHANNELS + 2] = blue >> WEIGHT_BITS
  }
}

function resampleColumns(
  narrowed: Uint8ClampedArray,
  rowLength: number,
  { starts, counts, weights, size, source }: Taps,
): Uint8Array {
  const pixels = new Uint8ClampedArray(starts.length * rowLength)
  const sums = new Int32Array(rowLength)
  for (let y = 0; y < starts.length; y++) {
    sums.fill(HALF)
    for (let tap = 0; tap < (counts[y] ?? 0); tap++) {
      const weight = weights[y * size + tap] ?? 0
      const from = ((starts[y] ?? 0) - source.first + tap) * rowLength
      for (let x = 0; x < rowLength; x++)
        sums[x] = (sums[x] ?? 0) + Math.imul(narrowed[from + x] ?? 0, weight)
    }
    for (let x = 0; x < rowLength; x++) pixels[y * rowLength + x] = (sums[x] ?? 0) >> WEIGHT_BITS
  }
  return new Uint8Array(pixels.buffer)
}

function pickPixels(read: ReadRow, columns: Axis, rows: Axis): Uint8Array {
  const across = findNearest(columns)
  const down = findNearest(rows)
  const pixels = new Uint8Array(across.length * down.length * CHANNELS)
  const needed = { first: across[0] ?? 0, end: (across.at(-1) ?? 0) + 1 }
  let to = 0
  for (const y of down) {
    const row = read(y, needed)
    for (const x of across) {
      pixels[to++] = row[x * CHANNELS] ?? 0
      pixels[to++] = row[x * CHANNELS + 1] ?? 0
      pixels[to++] = row[x * CHANNELS + 2] ?? 0
    }
  }
  return pixels
}
