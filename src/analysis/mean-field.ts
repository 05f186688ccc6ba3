import { theoryOf } from '../initializers/law.ts'
import { sizeOf } from '../initializers/fans.ts'
import { windowShape, windowTaps } from '../network/geometry.ts'
import type { NetworkOps, Shape, Window } from '../network/ops.ts'
import type { InitializedParameter } from '../network/parameters.ts'
import type { Plan } from '../network/plan.ts'
import { residualNetwork } from '../network/residual-network.ts'
import { normalCdf } from '../statistics/normal.ts'

/** One element of a tensor, over all draws of the weights; every channel is like every other. */
interface Point {
  readonly mean: number
  readonly variance: number
  /** Mean square of a small independent disturbance, of 1 where the images enter. */
  readonly gain: number
  /** Of what a ReLU made: the normal it cut. */
  readonly cut?: Pick<Point, 'mean' | 'variance'>
}

/** The elements at the places of an image, row by row, or the one of a vector or a parameter. */
interface Field extends Shape {
  readonly points: readonly Point[]
}

/** What mean field theory says of each block's sum. */
export interface MeanField {
  /** Its variance. */
  readonly q: number[]
  /** By what the mean square of a disturbance grows from one sum to the next; the first counts from the stem. */
  readonly chi_1: number[]
}

/**
 * Predicts a network without norms from its laws, for images of N(0, 1) (Poole et al. 2016, arXiv:1606.05340;
 * Schoenholz et al. 2017, arXiv:1611.01232; residual sums: Yang and Schoenholz 2017, arXiv:1712.08969):
 * q' = sw2 E[phi(z)^2] + sb2 and chi_1 = sw2 E[phi'(z)^2], with sw2 the weights' variance summed over the taps that lie
 * within the image. Every element is taken for a normal of its own, independent of its neighbours and of the other
 * branch. Null where a norm sets the variance, or kernels have a mean of their own.
 */
export function predictField({ specification, initialized }: Plan): MeanField | null {
  const { architecture } = specification
  const centred = initialized.every(
    ({ role, law, shape }) => role !== 'kernel' || theoryOf(law, shape).mean === 0,
  )
  if (architecture.norm.type !== 'none' || !centred) return null
  const ops = new FieldOps(initialized)
  const shape = architecture.input_shape
  const pixel = { mean: 0, variance: 1, gain: 1 }
  residualNetwork(ops, architecture, { shape, points: places(shape).map(() => pixel) })
  return { q: ops.variances, chi_1: ops.growths }
}

class FieldOps implements NetworkOps<Field> {
  readonly variances: number[] = []
  readonly growths: number[] = []
  readonly #parameters: ReadonlyMap<string, InitializedParameter>
  #gain: number | undefined

  constructor(initialized: readonly InitializedParameter[]) {
    this.#parameters = new Map(initialized.map((parameter) => [parameter.name, parameter]))
  }

  parameter(name: string, shape: readonly number[]): Field {
    const known = this.#parameters.get(name)
    if (known === undefined) throw new TypeError(`${name} has no law`)
    const { mean, variance } = theoryOf(known.law, shape)
    return { shape, points: [{ mean, variance, gain: 0 }] }
  }

  conv2d(name: string, x: Field, kernel: Field, window: Window): Field {
    const [, , channels = 1, filters = 1] = kernel.shape
    const weight = channels * only(kernel).variance
    const sum = overWindows(name, x, window, filters, (taps) => weighted(taps, weight))
    this.#gain ??= averageOf(sum, ({ gain }) => gain)
    return sum
  }

  matMul(_name: string, x: Field, kernel: Field): Field {
    const [rows = 1, units = 1] = kernel.shape
    const taps = x.points
    return { shape: [units], points: [weighted(taps, (rows / taps.length) * only(kernel).variance)] }
  }

  biasAdd(_name: string, x: Field, bias: Field): Field {
    return each(x, (point) => sumOf(point, only(bias)))
  }

  batchNorm(name: string): Field {
    throw new TypeError(`${name} sets a variance of its own`)
  }

  scale(_name: string, x: Field, factor: Field): Field {
    const { mean, variance } = only(factor)
    const square = variance + mean ** 2
    return each(x, (point) => ({
      mean: point.mean * mean,
      variance: point.variance * square + point.mean ** 2 * variance,
      gain: point.gain * square,
    }))
  }

  shift(_name: string, x: Field, offset: Field): Field {
    return each(x, (point) => sumOf(point, only(offset)))
  }

  relu(_name: string, x: Field): Field {
    return each(x, rectified)
  }

  add(_name: string, branch: Field, shortcut: Field): Field {
    const points = branch.points.map((point, place) => sumOf(point, shortcut.points[place] ?? point))
    const sum = { shape: branch.shape, points }
    const mean = averageOf(sum, (point) => point.mean)
    const gain = averageOf(sum, (point) => point.gain)
    this.variances.push(averageOf(sum, (point) => point.variance + (point.mean - mean) ** 2))
    this.growths.push(gain / (this.#gain ?? NaN))
    this.#gain = gain
    return sum
  }

  maxPool(name: string, x: Field, window: Window): Field {
    const known = new Map<string, Point>()
    return overWindows(name, x, window, x.shape.at(-1) ?? 1, (taps) => {
      // Away from the edges all windows are alike.
      const key = taps.map(({ mean, variance }) => `${String(mean)} ${String(variance)}`).join()
      const largest = known.get(key) ?? largestOf(taps)
      known.set(key, largest)
      return largest
    })
  }

  averagePool(name: string, x: Field, window: Window): Field {
    return overWindows(name, x, window, x.shape.at(-1) ?? 1, (taps) => averaged(taps, window.size ** 2))
  }

  globalAverage(_name: string, x: Field): Field {
    return { shape: x.shape.slice(-1), points: [averaged(x.points, x.points.length)] }
  }

  flatten(_name: string, x: Field): Field {
    return { shape: [sizeOf(x.shape)], points: x.points }
  }

  shared(x: Field): Field {
    return x
  }
}

/** A sum over all taps' channels, each times a weight of mean 0; `weight` is the weights' variance over the channels. */
function weighted(taps: readonly Point[], weight: number): Point {
  return {
    mean: 0,
    variance: weight * total(taps.map(({ mean, variance }) => variance + mean ** 2)),
    gain: weight * total(taps.map(({ gain }) => gain)),
  }
}

function sumOf(a: Point, b: Point): Point {
  return { mean: a.mean + b.mean, variance: a.variance + b.variance, gain: a.gain + b.gain }
}

/** The positive part of a normal. */
function rectified({ mean, variance, gain }: Point): Point {
  const std = Math.sqrt(variance)
  const share = std > 0 ? normalCdf(mean / std) : Number(mean > 0)
  const density = std > 0 ? Math.exp(-((mean / std) ** 2) / 2) / Math.sqrt(2 * Math.PI) : 0
  const positive = mean * share + std * density
  const square = (variance + mean ** 2) * share + mean * std * density
  return {
    mean: positive,
    variance: Math.max(0, square - positive ** 2),
    gain: gain * share,
    cut: { mean, variance },
  }
}

/** The largest of independent normals, or of their positive parts: its moments by Simpson's rule over P(all <= t). */
function largestOf(taps: readonly Point[]): Point {
  const normals = taps.map(({ cut, ...point }) => ({ ...(cut ?? point), positive: cut !== undefined }))
  const reach = Math.max(...normals.map(({ mean, variance }) => Math.abs(mean) + 9 * Math.sqrt(variance)))
  const below = (t: number): number =>
    normals.reduce((product, { mean, variance, positive }) => {
      if (positive && t < 0) return 0
      return product * (variance > 0 ? normalCdf((t - mean) / Math.sqrt(variance)) : Number(t >= mean))
    }, 1)
  const steps = 400
  let mean = 0
  let square = 0
  for (let step = 0; step <= steps; step++) {
    const t = (step * reach) / steps
    const weight = (step === 0 || step === steps ? 1 : step % 2 === 1 ? 4 : 2) * (reach / steps / 3)
    const [above, under] = [1 - below(t), below(-t)]
    mean += weight * (above - under)
    square += weight * 2 * t * (above + under)
  }
  return {
    mean,
    variance: Math.max(0, square - mean ** 2),
    gain: total(taps.map(({ gain }) => gain)) / taps.length,
  }
}

/** The mean of independent elements; taps beyond the edge are zeros. */
function averaged(taps: readonly Point[], count: number): Point {
  return {
    mean: total(taps.map(({ mean }) => mean)) / count,
    variance: total(taps.map(({ variance }) => variance)) / count ** 2,
    gain: total(taps.map(({ gain }) => gain)) / count ** 2,
  }
}

function overWindows(
  name: string,
  x: Field,
  window: Window,
  channels: number,
  of: (taps: readonly Point[]) => Point,
): Field {
  const [height = 1, width = 1] = x.shape
  const rows = windowTaps(height, window)
  const columns = windowTaps(width, window)
  const points = rows.flatMap((taps) =>
    columns.map((across) =>
      of(taps.flatMap((row) => across.flatMap((column) => x.points[row * width + column] ?? []))),
    ),
  )
  return { shape: windowShape(name, x.shape, window, channels), points }
}

function each({ shape, points }: Field, of: (point: Point) => Point): Field {
  return { shape, points: points.map(of) }
}

function only({ points: [point] }: Field): Point {
  if (point === undefined) throw new TypeError('a parameter is expected here')
  return point
}

function places([height = 1, width = 1]: readonly number[]): number[] {
  return [...new Array(height * width).keys()]
}

function averageOf({ points }: Field, of: (point: Point) => number): number {
  return total(points.map(of)) / points.length
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0)
}
