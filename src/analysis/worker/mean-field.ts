import { theoryOf } from '../../initializers/law.ts'
import { sizeOf } from '../../initializers/fans.ts'
import { windowShape, windowTaps } from '../../network/geometry.ts'
import type { NetworkOps, Shape, Window } from '../../network/ops.ts'
import type { InitializedParameter } from '../../network/parameters.ts'
import type { Plan } from '../../network/plan.ts'
import { residualNetwork } from '../../network/residual-network.ts'
import { normalCdf } from '../../initializers/normal.ts'

/** A normal distribution; a constant if its variance is 0. */
interface Normal {
  readonly mean: number
  readonly variance: number
}

/**
 * One element of a tensor as a random variable over all draws of the weights. All channels have the same
 * distribution.
 */
interface Point {
  /** Its distribution: a mixture of normals. */
  readonly mixture: readonly (Normal & { readonly share: number })[]
  /** Mean square of a small independent disturbance, which is 1 at the images. */
  readonly gain: number
  /** For the output of a ReLU: its input's distribution. */
  readonly cut?: Point['mixture']
}

/** The elements at an image's positions, row by row, or the single one of a vector or parameter. */
interface Field extends Shape {
  readonly points: readonly Point[]
}

/** The prediction for each block's sum. */
export interface MeanField {
  /** Its variance. */
  readonly q: number[]
  /** Growth of a disturbance's mean square from one sum to the next; the first value is relative to the stem. */
  readonly chi_1: number[]
}

/**
 * Predicts a network without norms from its laws, for images of N(0, 1) (Poole et al. 2016, arXiv:1606.05340;
 * Schoenholz et al. 2017, arXiv:1611.01232; residual sums: Yang and Schoenholz 2017, arXiv:1712.08969): q' =
 * sw2 E[phi(z)^2] + sb2 and chi_1 = sw2 E[phi'(z)^2], with sw2 the weights' variance summed over the taps
 * inside the image. Sums over weights are treated as normal, independent of their neighbours and of other
 * branches; the output of a ReLU is a mixture of 0 and a normal with matching first two moments. Null if a
 * norm sets the variance or kernels have a nonzero mean.
 */
export function predictField({ specification, initialized }: Plan): MeanField | null {
  const { architecture } = specification
  const centred = initialized.every(
    ({ role, law, shape }) => role !== 'kernel' || theoryOf(law, shape).mean === 0,
  )
  if (architecture.norm.type !== 'none' || !centred) return null
  const ops = new FieldOps(initialized)
  const shape = architecture.input_shape
  const pixel = normal({ mean: 0, variance: 1 }, 1)
  residualNetwork(ops, specification, { shape, points: listPositions(shape).map(() => pixel) })
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
    return { shape, points: [normal({ mean, variance }, 0)] }
  }

  conv2d(name: string, x: Field, kernel: Field, window: Window): Field {
    const [, , channels = 1, filters = 1] = kernel.shape
    const weight = channels * computeMoments(readScalar(kernel)).variance
    const sum = mapWindows(name, x, window, filters, (taps) => weighted(taps, weight))
    this.#gain ??= average(sum, ({ gain }) => gain)
    return sum
  }

  matMul(_name: string, x: Field, kernel: Field): Field {
    const [rows = 1, units = 1] = kernel.shape
    const taps = x.points
    return {
      shape: [units],
      points: [weighted(taps, (rows / taps.length) * computeMoments(readScalar(kernel)).variance)],
    }
  }

  biasAdd(_name: string, x: Field, bias: Field): Field {
    return mapPoints(x, (point) => addUp(point, readScalar(bias)))
  }

  batchNorm(name: string): Field {
    throw new TypeError(`${name} sets the variance`)
  }

  scale(_name: string, x: Field, factor: Field): Field {
    const { mean, variance } = computeMoments(readScalar(factor))
    const square = variance + mean ** 2
    return mapPoints(x, ({ mixture, gain }) => ({
      mixture: mixture.map((part) => ({
        share: part.share,
        mean: part.mean * mean,
        variance: part.variance * square + part.mean ** 2 * variance,
      })),
      gain: gain * square,
    }))
  }

  shift(_name: string, x: Field, offset: Field): Field {
    return mapPoints(x, (point) => addUp(point, readScalar(offset)))
  }

  relu(_name: string, x: Field): Field {
    return mapPoints(x, rectified)
  }

  add(_name: string, branch: Field, shortcut: Field): Field {
    const points = branch.points.map((point, index) => addUp(point, shortcut.points[index] ?? point))
    const sum = { shape: branch.shape, points }
    const gain = average(sum, (point) => point.gain)
    // Over all elements, including positions.
    const parts = points.flatMap(({ mixture }) => mixture)
    this.variances.push(
      computeMoments({ mixture: parts.map((part) => ({ ...part, share: part.share / points.length })) })
        .variance,
    )
    this.growths.push(gain / (this.#gain ?? NaN))
    this.#gain = gain
    return sum
  }

  maxPool(name: string, x: Field, window: Window): Field {
    const known = new Map<string, Point>()
    return mapWindows(name, x, window, x.shape.at(-1) ?? 1, (taps) => {
      // Windows away from the edges are equal.
      const key = JSON.stringify(taps.map(({ mixture }) => mixture))
      const largest = known.get(key) ?? takeLargest(taps)
      known.set(key, largest)
      return largest
    })
  }

  averagePool(name: string, x: Field, window: Window): Field {
    return mapWindows(name, x, window, x.shape.at(-1) ?? 1, (taps) => averaged(taps, window.size ** 2))
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

function normal({ mean, variance }: Normal, gain: number): Point {
  return { mixture: [{ share: 1, mean, variance }], gain }
}

function computeMoments({ mixture }: Pick<Point, 'mixture'>): Normal {
  const mean = total(mixture.map((part) => part.share * part.mean))
  const variance = total(mixture.map((part) => part.share * (part.variance + (part.mean - mean) ** 2)))
  return { mean, variance }
}

/**
 * A sum over the channels of all taps, times weights of mean 0. `weight` is the variance of the weights times the
 * channels.
 */
function weighted(taps: readonly Point[], weight: number): Point {
  const squares = taps.map(computeMoments).map(({ mean, variance }) => variance + mean ** 2)
  return normal({ mean: 0, variance: weight * total(squares) }, weight * total(taps.map(({ gain }) => gain)))
}

function addUp(a: Point, b: Point): Point {
  const mixture = a.mixture.flatMap((one) =>
    b.mixture.map((other) => ({
      share: one.share * other.share,
      mean: one.mean + other.mean,
      variance: one.variance + other.variance,
    })),
  )
  return { mixture, gain: a.gain + b.gain }
}

/** The ReLU of an element: a share of zeros, and the part of every normal above 0. */
function rectified({ mixture, gain }: Point): Point {
  const positive = mixture.map(({ share, mean, variance }) => {
    const std = Math.sqrt(variance)
    const above = std > 0 ? normalCdf(mean / std) : Number(mean > 0)
    if (above === 0) return { share: 0, mean: 0, variance: 0 }
    const density = std > 0 ? Math.exp(-((mean / std) ** 2) / 2) / Math.sqrt(2 * Math.PI) / above : 0
    const left = mean + std * density
    const square = variance + mean ** 2 + mean * std * density
    return { share: share * above, mean: left, variance: Math.max(0, square - left ** 2) }
  })
  const above = total(positive.map(({ share }) => share))
  const zeros = { share: 1 - above, mean: 0, variance: 0 }
  return { mixture: [zeros, ...positive], gain: gain * above, cut: mixture }
}

/** The maximum of independent elements: its moments by Simpson's rule over P(all <= t). */
function takeLargest(taps: readonly Point[]): Point {
  const elements = taps.map(({ cut, mixture }) => ({ parts: cut ?? mixture, positive: cut !== undefined }))
  const reach = Math.max(
    ...elements.flatMap(({ parts }) =>
      parts.map(({ mean, variance }) => Math.abs(mean) + 9 * Math.sqrt(variance)),
    ),
  )
  const below = (t: number): number =>
    elements.reduce((product, { parts, positive }) => {
      if (positive && t < 0) return 0
      const each = parts.map(({ share, mean, variance }) =>
        variance > 0 ? share * normalCdf((t - mean) / Math.sqrt(variance)) : share * Number(t >= mean),
      )
      return product * total(each)
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
  const gain = total(taps.map((tap) => tap.gain)) / taps.length
  return normal({ mean, variance: Math.max(0, square - mean ** 2) }, gain)
}

/** The mean of independent elements; taps beyond the edge count as zeros. */
function averaged(taps: readonly Point[], count: number): Point {
  const moments = taps.map(computeMoments)
  return normal(
    {
      mean: total(moments.map(({ mean }) => mean)) / count,
      variance: total(moments.map(({ variance }) => variance)) / count ** 2,
    },
    total(taps.map(({ gain }) => gain)) / count ** 2,
  )
}

function mapWindows(
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

function mapPoints({ shape, points }: Field, of: (point: Point) => Point): Field {
  return { shape, points: points.map(of) }
}

function readScalar({ points: [point] }: Field): Point {
  if (point === undefined) throw new TypeError('expected a parameter')
  return point
}

function listPositions([height = 1, width = 1]: readonly number[]): number[] {
  return [...new Array(height * width).keys()]
}

function average({ points }: Field, of: (point: Point) => number): number {
  return total(points.map(of)) / points.length
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0)
}
