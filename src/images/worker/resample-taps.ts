import type { Interpolation } from '../decoder-contract.ts'
import type { Range } from '../resized-size.ts'

/** The resizing of one side, and the resized positions to compute. */
export interface Axis extends Range {
  readonly from: number
  readonly to: number
}

/** The weighted source positions of each resized position, in order. */
export interface Taps {
  readonly starts: Int32Array
  readonly counts: Int32Array
  /** `size` for each resized position, of which `counts` are used; integers in units of 2^-WEIGHT_BITS. */
  readonly weights: Int32Array
  readonly size: number
  /** All source positions with a weight. */
  readonly source: Range
}

interface Filter {
  /** The distance at which the weight becomes 0, in pixels of the smaller image. */
  readonly support: number
  readonly weigh: (distance: number) => number
}

/** Pillow's PRECISION_BITS. */
export const WEIGHT_BITS = 22
/** The parameter a of the cubic convolution (Keys 1981); OpenCV and torch's tensors without antialiasing use -0.75. */
const CUBIC = -0.5
/** Above this length Pillow's sum of steps takes long and loses precision. */
const MAX_SUMMED_STEPS = 2 ** 24

const filters: Readonly<Record<Exclude<Interpolation, 'nearest'>, Filter>> = {
  bilinear: { support: 1, weigh: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, weigh: weighCubic },
  lanczos: { support: 3, weigh: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
}

function weighCubic(distance: number): number {
  const x = Math.abs(distance)
  if (x < 1) return ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * CUBIC : 0
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI)
}

/** The weights of Pillow's `precompute_coeffs` and `normalize_coeffs_8bpc`: a reduction widens the filter. */
export function weighTaps(axis: Axis, interpolation: keyof typeof filters): Taps {
  const { from, first, end } = axis
  const filter = filters[interpolation]
  const scale = from / axis.to
  const stretch = Math.max(1, scale)
  const support = filter.support * stretch
  const size = countTaps(axis, interpolation)
  const starts = new Int32Array(end - first)
  const counts = new Int32Array(end - first)
  const weights = new Int32Array((end - first) * size)
  const exact = new Float64Array(size)
  for (let index = 0; index < end - first; index++) {
    const centre = (first + index + 0.5) * scale
    const start = Math.max(0, Math.trunc(centre - support + 0.5))
    const count = Math.min(from, Math.trunc(centre + support + 0.5)) - start
    let sum = 0
    for (let tap = 0; tap < count; tap++) {
      const weight = filter.weigh((tap + start - centre + 0.5) * (1 / stretch))
      exact[tap] = weight
      sum += weight
    }
    for (let tap = 0; tap < count; tap++) weights[index * size + tap] = quantize((exact[tap] ?? 0) / sum)
    starts[index] = start
    counts[index] = count
  }
  return { starts, counts, weights, size, source: findSource(starts, counts) }
}

/** The maximum number of weights for one resized position. */
export function countTaps({ from, to }: Axis, interpolation: Interpolation): number {
  if (interpolation === 'nearest') return 1
  return Math.ceil(filters[interpolation].support * Math.max(1, from / to)) * 2 + 1
}

/** Rounds half away from zero. */
function quantize(weight: number): number {
  return Math.trunc(weight * 2 ** WEIGHT_BITS + (weight < 0 ? -0.5 : 0.5))
}

/** Starts and ends never decrease. */
function findSource(starts: Int32Array, counts: Int32Array): Range {
  return { first: starts[0] ?? 0, end: (starts.at(-1) ?? 0) + (counts.at(-1) ?? 0) }
}

/**
 * The source position of each resized position, as Pillow's `ImagingScaleAffine` finds it: it sums up steps, and their
 * rounding errors select the neighbour of some positions.
 */
export function findNearest({ from, to, first, end }: Axis): Int32Array {
  const step = from / to
  if (to > MAX_SUMMED_STEPS)
    return Int32Array.from({ length: end - first }, (_, index) => Math.trunc((first + index + 0.5) * step))
  const positions = new Int32Array(end - first)
  let position = step * 0.5
  for (let index = 0; index < end; index++, position += step)
    if (index >= first) positions[index - first] = Math.trunc(position)
  return positions
}
