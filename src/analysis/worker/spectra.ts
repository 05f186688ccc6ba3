import { Session } from '../../tensorflow/session.ts'
import type { Backend } from '../../tensorflow/binding.ts'
import { DOUBLE, FLOAT, GraphWriter, INT32 } from '../../tensorflow/graph.ts'
import { DataType } from '../../tensorflow/proto.ts'
import { savedModelBytes } from '../../tensorflow/saved-model.ts'
import { transposed } from '../../formats/transpose.ts'
import { sizeOf } from '../../initializers/fans.ts'
import {
  chooseGrid,
  computeOperatorSpectrum,
  computePhases,
  listWaves,
  type OperatorSpectrum,
} from '../../statistics/operator-spectrum.ts'
import { matrixOf } from '../../statistics/spectrum.ts'

const COMPLEX = { type: DataType.complex128 } as const
/** Complex values of waves per run: 32 MB. */
const WAVE_VALUES = 2 ** 21

/**
 * Singular values from Gram matrices in float64, where products of float32 values are exact. Faster than
 * numpy.linalg.svd (`npm run bench` times both) and more accurate than a float32 Svd: the digits of float64
 * outweigh the squared condition number.
 */
export class Spectra {
  readonly #session: Session

  private constructor(session: Session) {
    this.#session = session
  }

  static async open(backend: Backend): Promise<Spectra> {
    return new Spectra(await Session.open(backend, spectraGraph()))
  }

  /**
   * Ascending eigenvalues of W^T W of a kernel flattened to W, or of W W^T if that is smaller. Requires rank 2 or
   * more.
   */
  eigenvalues(values: Float32Array, shape: readonly number[]): Float64Array {
    const { rows, columns } = matrixOf(shape) ?? { rows: values.length, columns: 1 }
    const side = rows < columns ? 'wide' : 'tall'
    const [high, low] = this.#session.run({ 'matrix:0': { values, shape: [rows, columns] } }, [
      `${side}_high:0`,
      `${side}_low:0`,
    ]) as [Float32Array, Float32Array]
    return Float64Array.from(high, (value, index) => value + (low[index] ?? 0))
  }

  /** Eigenvalues of the matrix with one row for each index along an axis. */
  eigenvaluesBy(values: Float32Array, shape: readonly number[], axis: number): Float64Array {
    const others = [...shape.keys()].filter((other) => other !== axis)
    const rows = shape[axis] ?? 1
    return this.eigenvalues(transposed(values, shape, [axis, ...others]), [rows, values.length / rows])
  }

  /** The spectrum of the convolution; null if the shape is not a convolution kernel. */
  operator(values: Float32Array, shape: readonly number[]): OperatorSpectrum | null {
    const grid = chooseGrid(shape)
    if (!grid) return null
    const [inputs = 1, outputs = 1] = shape.slice(-2)
    const window = shape.slice(0, -2)
    const taps = sizeOf(window)
    const side = inputs < outputs ? 'wave_wide' : 'wave_tall'
    const waves = listWaves(grid)
    const step = Math.max(1, Math.floor(WAVE_VALUES / Math.max(taps, inputs * outputs)))
    const perWave: { weight: number; values: Float32Array }[] = []
    for (let start = 0; start < waves.length; start += step) {
      const some = waves.slice(start, start + step)
      const { cosines, sines } = computePhases(some, window, grid)
      const [found] = this.#session.run(
        {
          'taps:0': { values, shape: [taps, inputs * outputs] },
          'cosines:0': { values: cosines, shape: [some.length, taps] },
          'sines:0': { values: sines, shape: [some.length, taps] },
          'wave_shape:0': { values: Int32Array.of(some.length, inputs, outputs), shape: [3] },
        },
        [`${side}:0`],
      ) as [Float32Array]
      const count = Math.min(inputs, outputs)
      some.forEach(({ weight }, index) =>
        perWave.push({ weight, values: found.subarray(index * count, (index + 1) * count) }),
      )
    }
    return computeOperatorSpectrum(grid, perWave)
  }
}

function spectraGraph(): Uint8Array {
  const graph = new GraphWriter()
  const double = (x: string): string => graph.node('Cast', [x], { SrcT: FLOAT, DstT: DOUBLE })
  const float = (x: string, name?: string): string =>
    graph.node('Cast', [x], { SrcT: DOUBLE, DstT: FLOAT }, { name })
  const eigenvalues = (gram: string, T: typeof DOUBLE | typeof COMPLEX): string =>
    graph.node('SelfAdjointEigV2', [gram], { T, compute_v: { flag: false } })

  const matrix = double(graph.placeholder('matrix', DataType.float, [-1, -1]))
  const taps = double(graph.placeholder('taps', DataType.float, [-1, -1]))
  const waveShape = graph.placeholder('wave_shape', DataType.int32, [3])
  const [real, imaginary] = ['cosines', 'sines'].map((name) => {
    const phases = double(graph.placeholder(name, DataType.float, [-1, -1]))
    return graph.node('MatMul', [phases, taps], { T: DOUBLE })
  }) as [string, string]
  const waves = graph.node(
    'Reshape',
    [graph.node('Complex', [real, imaginary], { T: DOUBLE, Tout: COMPLEX }), waveShape],
    { T: COMPLEX, Tshape: INT32 },
  )

  for (const side of ['tall', 'wide'] as const) {
    const tall = { flag: side === 'tall' }
    const wide = { flag: side === 'wide' }
    const gram = graph.node('MatMul', [matrix, matrix], { T: DOUBLE, transpose_a: tall, transpose_b: wide })
    const found = eigenvalues(gram, DOUBLE)
    // The binding does not support float64; two float32 values replace one.
    const high = float(found, `${side}_high`)
    float(graph.node('Sub', [found, double(high)], { T: DOUBLE }), `${side}_low`)

    const waveGram = graph.node('BatchMatMulV2', [waves, waves], { T: COMPLEX, adj_x: tall, adj_y: wide })
    const squares = graph.node('Real', [eigenvalues(waveGram, COMPLEX)], { T: COMPLEX, Tout: DOUBLE })
    const positive = graph.node('Relu', [squares], { T: DOUBLE })
    float(graph.node('Sqrt', [positive], { T: DOUBLE }), `wave_${side}`)
  }
  return savedModelBytes({ graph, signatures: {} })
}
