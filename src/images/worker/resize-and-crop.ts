import type { Resize } from '../decoder-contract.ts'
import { cropCentre, resizeShortSide, type Size } from '../resized-size.ts'
import { createCopy, orient, placePixels, type Raster, type Target } from './place-pixels.ts'
import { resample, type ReadRow } from './resample.ts'
import { countTaps, type Axis } from './resample-taps.ts'

const CHANNELS = 3
const WEIGHT_BYTES = 4

/**
 * Resizes the shorter side of a decoded image after rotating it by its EXIF orientation, then crops to the centre or
 * pads with black, as torchvision's `Resize` and `CenterCrop` do on a Pillow image. CMYK is converted before, colours are
 * reduced to grey after.
 */
export function resizeAndCrop(
  raster: Raster,
  orientation: number,
  resize: Resize,
  target: Target,
): Uint8Array {
  const { columns, rows } = findAxes(orient(raster, orientation), resize, target)
  const data = resample(readRows(raster, orientation), columns, rows, resize.interpolation)
  const cropped = { data, width: columns.end - columns.first, height: rows.end - rows.first }
  return placePixels({ ...cropped, channels: CHANNELS }, 1, target)
}

/** The additional memory in bytes, without the decoded image and the result. */
export function countResizeBytes(upright: Size, resize: Resize, target: Size): number {
  const { columns, rows } = findAxes(upright, resize, target)
  const countWeights = (axis: Axis): number => (axis.end - axis.first) * countTaps(axis, resize.interpolation)
  const width = columns.end - columns.first
  const height = Math.min(
    upright.height,
    Math.ceil(((rows.end - rows.first) * rows.from) / rows.to) + countTaps(rows, resize.interpolation),
  )
  return (
    upright.width * CHANNELS +
    width * (height + rows.end - rows.first) * CHANNELS +
    (countWeights(columns) + countWeights(rows)) * WEIGHT_BYTES
  )
}

function findAxes(upright: Size, { short_side }: Resize, target: Size): { columns: Axis; rows: Axis } {
  const { width, height } = resizeShortSide(upright, short_side)
  return {
    columns: { from: upright.width, to: width, ...cropCentre(width, target.width) },
    rows: { from: upright.height, to: height, ...cropCentre(height, target.height) },
  }
}

function readRows(raster: Raster, orientation: number): ReadRow {
  const { data, channels, width } = raster
  if (orientation === 1 && channels === CHANNELS) {
    const rowLength = width * CHANNELS
    return (y) => data.subarray(y * rowLength, (y + 1) * rowLength)
  }
  const walk = orient(raster, orientation)
  const row = new Uint8Array(walk.width * CHANNELS)
  const copy = createCopy(data, channels, row, CHANNELS)
  return (y, { first, end }) => {
    for (let x = first; x < end; x++) copy(walk.first + x * walk.right + y * walk.down, x)
    return row
  }
}
