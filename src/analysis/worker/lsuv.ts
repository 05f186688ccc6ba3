import { GraphDrawOps } from '../../tensorflow/draw-ops.ts'
import type { Backend } from '../../tensorflow/binding.ts'
import { NormFoldingGraph } from '../../tensorflow/norm-folding.ts'
import { BFLOAT16, FLOAT, GraphWriter, UINT8 } from '../../tensorflow/graph.ts'
import { tensor, type Value } from '../../tensorflow/graph-values.ts'
import { GraphNetworkOps, type GraphNetworkOptions } from '../../tensorflow/network-ops.ts'
import { DataType } from '../../tensorflow/proto.ts'
import { preprocess } from '../../tensorflow/recipe.ts'
import { savedModelBytes } from '../../tensorflow/saved-model.ts'
import { Session, type Feed } from '../../tensorflow/session.ts'
import { fieldError } from '../../common/errors.ts'
import { draw } from '../../initializers/draw.ts'
import { sizeOf } from '../../initializers/fans.ts'
import type { Window } from '../../network/ops.ts'
import { planSpecification } from '../../network/plan.ts'
import { residualNetwork } from '../../network/residual-network.ts'
import type { Specification } from '../../network/specification.ts'
import type { LayerScale } from '../contract.ts'

/**
 * Number of Gaussian images for the measurement, and as many for the check; fewer if they are larger than usual.
 */
const IMAGES = 8
const USUAL_SIZE = 224 * 224 * 3
/** The draw number of the images. Parameters use the numbers from 0, as in Keras. */
const IMAGE_DRAW = -1

/**
 * LSUV (Mishkin and Matas 2015): the factor for every kernel that makes the variance of its output 1, in layer
 * order, each measured after the layers before it are scaled. One run is enough: a layer's output is linear in its
 * kernel, so the output is scaled instead of the kernel.
 *
 * Factors are bfloat16 numbers. Eight bits leave a variance within 1 % of 1. Another order of sums on another
 * processor changes the deviation by 1e-6, and so fewer than one factor in three thousand.
 *
 * Returns the variances on as many other Gaussian images, or on the same images if the caller gives them (uint8).
 */
export async function unitVariance(
  backend: Backend,
  specification: Specification,
  pixels?: Uint8Array,
): Promise<LayerScale[]> {
  const shape = specification.architecture.input_shape
  const size = sizeOf(shape)
  const given = pixels === undefined ? 0 : pixels.length / size
  const drawn = Math.max(1, Math.min(IMAGES, Math.floor((IMAGES * USUAL_SIZE) / size)))
  const [first, count] = given > 0 ? [given, given] : [drawn, 2 * drawn]

  const graph = new GraphWriter()
  const draws = new GraphDrawOps(graph)
  const laws = new Map(planSpecification(specification).initialized.map((one) => [one.name, one]))
  const folding = new NormFoldingGraph(draws, (parameter) => {
    const { law, seed } = laws.get(parameter.name) ?? { law: { kind: 'constant', value: 0 }, seed: [0, 0] }
    return draw(draws, law, parameter.shape, seed)
  })
  const ops = new UnitVarianceOps(graph, { first, count }, (value) => folding.node(value))
  const batch = [count, ...shape]
  const images =
    given > 0
      ? preprocess(
          graph,
          graph.cast(graph.placeholder('pixels', DataType.uint8, batch), UINT8, FLOAT),
          shape,
          specification.preprocessing,
        )
      : draw(draws, { kind: 'normal', mean: 0, std: 1 }, batch, [specification.seed, IMAGE_DRAW])
  residualNetwork(ops, specification, tensor(images, shape, FLOAT))
  const assigns = ops.variables.map(({ assign }) => `^${assign}`)
  const initOp = graph.node('NoOp', assigns, {}, { name: 'init' })

  const session = await Session.open(backend, savedModelBytes({ graph, signatures: {}, initOp }))
  try {
    const feeds: Record<string, Feed> = pixels ? { 'pixels:0': { values: pixels, shape: batch } } : {}
    const fetches = ops.measured.flatMap(({ factor, variance }) => [`${factor}:0`, `${variance}:0`])
    const values = session.run(feeds, fetches).map(([value = Number.NaN]) => value)
    return ops.measured.map(({ kernel }, index) => {
      const [factor = 0, variance = 0] = values.slice(2 * index, 2 * index + 2)
      if (factor > 0 && factor < Infinity) return { kernel, factor, variance }
      throw fieldError(
        '#/initializers',
        `give values at ${kernel} that no float32 factor scales to a variance of 1`,
      )
    })
  } finally {
    session.close()
  }
}

interface Batch {
  /** Images for the measurement, out of all. */
  readonly first: number
  readonly count: number
}

/** The nodes of a kernel's factor and of the variance that it leaves. */
interface Measured {
  readonly kernel: string
  readonly factor: string
  readonly variance: string
}

/** Scales the outputs of convolutions and dense layers to unit variance, before any bias. */
class UnitVarianceOps extends GraphNetworkOps {
  readonly measured: Measured[] = []
  readonly #graph: GraphWriter
  readonly #batch: Batch

  constructor(graph: GraphWriter, batch: Batch, source: GraphNetworkOptions['source']) {
    super(graph, { source, precision: FLOAT })
    this.#graph = graph
    this.#batch = batch
  }

  override conv2d(name: string, x: Value, kernel: Value, window: Window): Value {
    return this.#toUnitVariance(name, this.shared(super.conv2d(name, x, kernel, window)))
  }

  override matMul(name: string, x: Value, kernel: Value): Value {
    return this.#toUnitVariance(name, super.matMul(name, x, kernel))
  }

  #toUnitVariance(name: string, output: Value): Value {
    const graph = this.#graph
    const { first, count } = this.#batch
    const y = this.node(output)
    const mean = this.#mean(this.#perImage(y, output.shape), 0, first)
    const distances = this.#perImage(graph.floats('SquaredDifference', [y, mean]), output.shape)
    const variance = this.#mean(distances, 0, first)
    // The output of a kernel of zeros, for example, has no variance to scale.
    const measurable = graph.floats('Greater', [variance, graph.number(0)])
    const inverse = graph.floats('SelectV2', [measurable, graph.floats('Rsqrt', [variance]), graph.number(1)])
    const factor = graph.cast(graph.cast(inverse, FLOAT, BFLOAT16), BFLOAT16, FLOAT)
    const scaled = graph.floats('Mul', [y, factor])

    const others = [count === first ? 0 : first, count] as const
    const otherMean = this.#mean(this.#perImage(scaled, output.shape), ...others)
    const otherDistances = this.#perImage(
      graph.floats('SquaredDifference', [scaled, otherMean]),
      output.shape,
    )
    this.measured.push({ kernel: `${name}/kernel`, factor, variance: this.#mean(otherDistances, ...others) })
    return tensor(scaled, output.shape, FLOAT)
  }

  /** The mean of each image, [count]. Averages over positions first, to keep float32 sums short. */
  #perImage(x: string, shape: readonly number[]): string {
    const graph = this.#graph
    const channels = shape.length === 3 ? graph.floats('Mean', [x, graph.integers([1, 2])]) : x
    return graph.floats('Mean', [channels, graph.integers([1])])
  }

  /** The mean over the images [from, to). */
  #mean(perImage: string, from: number, to: number): string {
    const graph = this.#graph
    const index = { T: FLOAT, Index: { type: DataType.int32 } }
    const slice = graph.node('Slice', [perImage, graph.integers([from]), graph.integers([to - from])], index)
    return graph.floats('Mean', [slice, graph.integers([0])])
  }
}
