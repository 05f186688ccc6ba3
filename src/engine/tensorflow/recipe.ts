import { draw } from '../../initializers/draw.ts'
import { INITIAL_MOMENTS, type InitializedParameter } from '../../network/parameters.ts'
import type { Preprocessing } from '../../network/preprocessing.ts'
import { residualNetwork } from '../../network/residual-network.ts'
import type { Parameter } from '../../network/shapes.ts'
import type { Specification } from '../../network/specification.ts'
import { GraphDrawOps } from './draw-ops.ts'
import { FLOAT, GraphWriter } from './graph.ts'
import { GraphNetworkOps, type Variable } from './network-ops.ts'
import { DataType } from './proto.ts'
import { savedModelBytes } from './saved-model.ts'

/** Tensor names of a recipe's inputs and results, as sessions feed and fetch them. */
export const RECIPE = {
  /** uint8 [n, height, width, channels], 0..255. */
  pixels: 'pixels:0',
  /** float32, where the preprocessed image enters; fed in place of pixels it goes in as it is. */
  images: 'images:0',
  /** int32 scalar: how many classes `topLogits` and `topClasses` hold. */
  k: 'k:0',
  logits: 'logits:0',
  probabilities: 'probabilities:0',
  entropy: 'entropy:0',
  features: 'features:0',
  topLogits: 'top:0',
  topClasses: 'top:1',
} as const

export interface Recipe {
  readonly bytes: Uint8Array
  readonly variables: readonly Variable[]
}

/** The SavedModel of an initialized network: its init op draws every weight. */
export function drawnRecipe(
  specification: Specification,
  initialized: readonly InitializedParameter[],
): Recipe {
  const byName = new Map(initialized.map((parameter) => [parameter.name, parameter]))
  return writeRecipe(specification, true, (_graph, draws) => (parameter) => {
    const known = byName.get(parameter.name)
    if (known) return draw(draws, known.law, known.shape, known.seed)
    return draws.fill(parameter.shape, INITIAL_MOMENTS[parameter.role as keyof typeof INITIAL_MOMENTS])
  })
}

/** The SavedModel of a network whose weights are assigned: feed `feedOf` each parameter, fetch `assigned`. */
export function fedRecipe(specification: Specification): Recipe {
  return writeRecipe(
    specification,
    false,
    (graph) => (parameter) => graph.placeholder(feedName(parameter), DataType.float, parameter.shape),
  )
}

export function feedOf(parameter: Parameter): string {
  return `${feedName(parameter)}:0`
}

function feedName({ name }: Parameter): string {
  return `feed/${name}`
}

type SourceFactory = (graph: GraphWriter, draws: GraphDrawOps) => (parameter: Parameter) => string

function writeRecipe(specification: Specification, drawn: boolean, sourceOf: SourceFactory): Recipe {
  const { architecture, preprocessing } = specification
  const graph = new GraphWriter()
  const draws = new GraphDrawOps(graph)
  const ops = new GraphNetworkOps(graph, draws, sourceOf(graph, draws))
  const shape = architecture.input_shape
  const batch = [-1, ...shape]
  const pixels = graph.placeholder('pixels', DataType.uint8, batch)
  const prepared = preprocess(graph, pixels, preprocessing)
  const float = { dtype: FLOAT, shape: { shape: batch } }
  const images = graph.node('PlaceholderWithDefault', [prepared], float, { name: 'images' })
  const forward = residualNetwork(ops, specification, { kind: 'tensor', node: images, shape })
  graph.floats('Identity', [ops.node(forward.features)], 'features')
  const logits = graph.floats('Identity', [ops.node(forward.logits)], 'logits')
  const probabilities = graph.floats('Softmax', [logits], 'probabilities')
  const terms = graph.floats('Xlogy', [probabilities, probabilities])
  graph.floats('Neg', [graph.floats('Sum', [terms, graph.integers([1])])], 'entropy')
  graph.floats('TopKV2', [logits, graph.placeholder('k', DataType.int32, [])], 'top')

  const assigns = ops.variables.map(({ assign }) => `^${assign}`)
  const initOp = drawn ? graph.node('NoOp', assigns, {}, { name: 'init' }) : undefined
  const classes = [-1, specification.classes]
  const signature = {
    inputs: { images: { tensor: RECIPE.pixels, type: DataType.uint8, shape: batch } },
    outputs: {
      logits: { tensor: RECIPE.logits, type: DataType.float, shape: classes },
      probabilities: { tensor: RECIPE.probabilities, type: DataType.float, shape: classes },
    },
  }
  const bytes = savedModelBytes({ graph, signatures: { serving_default: signature }, initOp })
  return { bytes, variables: ops.variables }
}

/** (x * scale - mean) / std as one multiplication and one sum per channel. */
export function preprocess(
  graph: GraphWriter,
  pixels: string,
  { scale, mean, std, channel_order }: Preprocessing,
): string {
  const uint8 = { type: DataType.uint8 }
  const perChannel = (values: readonly number[]): string =>
    graph.constant(Float32Array.from(values), [values.length], DataType.float)
  const factors = std.map((value) => scale / value)
  const summands = mean.map((value, channel) => -value / (std[channel] ?? 1))
  let x = pixels
  if (channel_order === 'bgr') x = graph.node('ReverseV2', [x, graph.integers([3])], { T: uint8 })
  x = graph.node('Cast', [x], { SrcT: uint8, DstT: FLOAT })
  if (factors.some((factor) => factor !== 1)) x = graph.floats('Mul', [x, perChannel(factors)])
  if (summands.some((summand) => summand !== 0)) x = graph.floats('AddV2', [x, perChannel(summands)])
  return x
}
