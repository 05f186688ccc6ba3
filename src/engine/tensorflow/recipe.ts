import { draw } from '../../initializers/draw.ts'
import { INITIAL_MOMENTS, type InitializedParameter } from '../../network/parameters.ts'
import type { Preprocessing } from '../../network/preprocessing.ts'
import { residualNetwork } from '../../network/residual-network.ts'
import type { Parameter } from '../../network/shapes.ts'
import type { Specification } from '../../network/specification.ts'
import { GraphDrawOps } from './draw-ops.ts'
import { fillingOf, type Filling } from './filling.ts'
import { BFLOAT16, FLOAT, GraphWriter } from './graph.ts'
import { GraphNetworkOps, type GraphNetworkOptions, type Variable } from './network-ops.ts'
import { DataType } from './proto.ts'
import { savedModelBytes, type SavedModelContents } from './saved-model.ts'

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

/**
 * The SavedModel of an initialized network, for any TensorFlow: its init op draws every weight. Folded kernels can
 * differ in the last bit from those of a session here, for TensorFlow's optimizers may reorder their factors.
 */
export function drawnRecipe(
  specification: Specification,
  initialized: readonly InitializedParameter[],
): Uint8Array {
  const byName = new Map(initialized.map((parameter) => [parameter.name, parameter]))
  const graph = new GraphWriter()
  const draws = new GraphDrawOps(graph)
  const source = (parameter: Parameter): string => {
    const known = byName.get(parameter.name)
    if (known) return draw(draws, known.law, known.shape, known.seed)
    return draws.fill(parameter.shape, INITIAL_MOMENTS[parameter.role as keyof typeof INITIAL_MOMENTS])
  }
  const { signatures, variables } = writeNetwork(graph, specification, { draws, source })
  const assigns = variables.map(({ assign }) => `^${assign}`)
  const initOp = graph.node('NoOp', assigns, {}, { name: 'init' })
  return savedModelBytes({ graph, signatures, initOp })
}

/** What a session is opened with: nothing is drawn or assigned in it but by its fillings. */
export interface SessionRecipe {
  readonly bytes: Uint8Array
  /** One for each variable, in creation order. */
  readonly fillings: readonly Filling[]
}

/** The network for a session of this process, which fills its variables step by step. */
export function sessionRecipe(specification: Specification): SessionRecipe {
  const graph = new GraphWriter()
  const source = ({ name, shape }: Parameter): string =>
    graph.placeholder(`feed/${name}`, DataType.float, shape)
  const { variables } = writeNetwork(graph, specification, { source, barrier: 'k' })
  const fillings = variables.map((variable) => fillingOf(graph, variable))
  return { bytes: savedModelBytes({ graph, signatures: {} }), fillings }
}

/** The tensor a parameter's values are fed to. */
export function feedOf({ name }: Parameter): string {
  return `feed/${name}:0`
}

interface NetworkNodes {
  readonly signatures: SavedModelContents['signatures']
  readonly variables: readonly Variable[]
}

function writeNetwork(
  graph: GraphWriter,
  specification: Specification,
  {
    draws = new GraphDrawOps(graph),
    ...options
  }: Omit<GraphNetworkOptions, 'precision'> & { readonly draws?: GraphDrawOps },
): NetworkNodes {
  const { architecture, preprocessing, precision, classes } = specification
  const type = precision === 'bfloat16' ? BFLOAT16 : FLOAT
  const ops = new GraphNetworkOps(graph, draws, { precision: type, ...options })
  const shape = architecture.input_shape
  const batch = [-1, ...shape]
  const k = graph.placeholder('k', DataType.int32, [])
  const pixels = graph.placeholder('pixels', DataType.uint8, batch)
  const prepared = preprocess(graph, pixels, shape, preprocessing)
  const float = { dtype: FLOAT, shape: { shape: batch } }
  const images = graph.node('PlaceholderWithDefault', [prepared], float, { name: 'images' })
  const forward = residualNetwork(ops, specification, { kind: 'tensor', node: images, shape, type: FLOAT })
  graph.floats('Identity', [ops.float(forward.features)], 'features')
  const logits = graph.floats('Identity', [ops.float(forward.logits)], 'logits')
  const probabilities = graph.floats('Softmax', [logits], 'probabilities')
  const terms = graph.floats('Xlogy', [probabilities, probabilities])
  graph.floats('Neg', [graph.floats('Sum', [terms, graph.integers([1])])], 'entropy')
  graph.floats('TopKV2', [logits, k], 'top')

  const rows = [-1, classes]
  const signature = {
    inputs: { images: { tensor: RECIPE.pixels, type: DataType.uint8, shape: batch } },
    outputs: {
      logits: { tensor: RECIPE.logits, type: DataType.float, shape: rows },
      probabilities: { tensor: RECIPE.probabilities, type: DataType.float, shape: rows },
    },
  }
  return { signatures: { serving_default: signature }, variables: ops.variables }
}

/**
 * (x * scale - mean) / std as one multiplication and one sum per channel, over whole rows of the image at once:
 * TensorFlow broadcasts over three channels ten times slower.
 */
export function preprocess(
  graph: GraphWriter,
  pixels: string,
  [height = 0, width = 0, channels = 0]: readonly number[],
  { scale, mean, std, channel_order }: Preprocessing,
): string {
  const uint8 = { type: DataType.uint8 }
  const row = width * channels
  const perChannel = (values: readonly number[]): string => {
    const repeated = Float32Array.from({ length: row }, (_, index) => values[index % channels] ?? 0)
    return graph.constant(repeated, [row], DataType.float)
  }
  const reshaped = (tensor: string, shape: readonly number[]): string =>
    graph.node('Reshape', [tensor, graph.integers(shape)], { T: FLOAT })
  const factors = std.map((value) => scale / value)
  const summands = mean.map((value, channel) => -value / (std[channel] ?? 1))
  const multiplies = factors.some((factor) => factor !== 1)
  const adds = summands.some((summand) => summand !== 0)
  let x = pixels
  if (channel_order === 'bgr') x = graph.node('ReverseV2', [x, graph.integers([3])], { T: uint8 })
  x = graph.node('Cast', [x], { SrcT: uint8, DstT: FLOAT })
  if (!multiplies && !adds) return x
  x = reshaped(x, [-1, row])
  if (multiplies) x = graph.floats('Mul', [x, perChannel(factors)])
  if (adds) x = graph.floats('AddV2', [x, perChannel(summands)])
  return reshaped(x, [-1, height, width, channels])
}
