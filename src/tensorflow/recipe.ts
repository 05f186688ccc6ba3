import { sizeOf } from '../initializers/fans.ts'
import type { Preprocessing } from '../network/preprocessing.ts'
import { classify, residualFeatures } from '../network/residual-network.ts'
import { schemeNamed } from '../network/schemes.ts'
import type { Specification } from '../network/specification.ts'
import { buildAssignment, type VariableAssignment } from './variable-assignment.ts'
import { BFLOAT16, BOOL, FLOAT, GraphWriter, INT32, UINT8 } from './graph.ts'
import { splitBatch } from './split-batch.ts'
import { tensor, type Precision, type Value } from './graph-values.ts'
import { GraphNetworkOps, type GraphNetworkOptions, type Variable } from './network-ops.ts'
import { DataType } from './proto.ts'
import { savedModelBytes } from './saved-model.ts'

/** Names of the input and result tensors. */
export const RECIPE = {
  /** uint8 [n, height, width, channels], 0..255. */
  pixels: 'pixels:0',
  /** float32, the preprocessed image. Feeding it replaces `pixels`. */
  images: 'images:0',
  /** int32 scalar: the number of top classes. */
  k: 'k:0',
  logits: 'logits:0',
  probabilities: 'probabilities:0',
  entropy: 'entropy:0',
  features: 'features:0',
  topLogits: 'top:0',
  topClasses: 'top:1',
  topProbabilities: 'top_probabilities:0',
  /** int32: 1 if all logits of a row are finite, else 0. */
  finite: 'finite:0',
  /**
   * float32 [n, checkpoints]: the largest magnitude of a row's activations at each checkpoint. Absent without
   * checkpoints.
   */
  peaks: 'peaks:0',
} as const

/** The graph of a session. Only its assignments draw or set values. */
export interface SessionRecipe {
  readonly bytes: Uint8Array
  /** One for each variable, in creation order. */
  readonly assignments: readonly VariableAssignment[]
}

/**
 * The network for a session, whose variables are assigned step by step. With `split`, the two halves of a batch are
 * computed at the same time. `checkpoints` are the residual sums whose magnitudes are fetched.
 */
export function sessionRecipe(
  specification: Specification,
  split: boolean,
  checkpoints: readonly string[],
): SessionRecipe {
  const graph = new GraphWriter()
  const source: GraphNetworkOptions['source'] = (_value, { name, shape }) =>
    graph.placeholder(`${name}/value`, DataType.float, shape)
  const { version } = specification.architecture
  const rectified = version !== 'v2' && !schemeNamed(specification.residual_scheme).reluInBranch
  const watched = { sums: checkpoints, rectified }
  const variables = writeNetwork(graph, specification, { source, barrier: 'k', split, watched })
  const assignments = variables.map((variable) => buildAssignment(graph, variable))
  return { bytes: savedModelBytes({ graph, signatures: {} }), assignments }
}

function writeNetwork(
  graph: GraphWriter,
  specification: Specification,
  { split, ...options }: Omit<GraphNetworkOptions, 'precision'> & { readonly split: boolean },
): readonly Variable[] {
  const { architecture, preprocessing } = specification
  const precision = choosePrecision(specification)
  const ops = new GraphNetworkOps(graph, { precision, ...options })
  const shape = architecture.input_shape
  const batch = [-1, ...shape]
  const k = graph.placeholder('k', DataType.int32, [])
  const pixels = graph.placeholder('pixels', DataType.uint8, batch)
  const cast = graph.cast(pixels, UINT8, FLOAT)
  const prepared = preprocess(graph, cast, shape, preprocessing)
  const float = { dtype: FLOAT, shape: { shape: batch } }
  const images = graph.node('PlaceholderWithDefault', [prepared], float, { name: 'images' })
  const writeFeatures = (node: string) => {
    const features = residualFeatures<Value>(ops, specification, tensor(node, shape, FLOAT))
    return tensor(appendPeaks(graph, ops.float(features), ops.takePeaks()), features.shape, FLOAT)
  }
  const computed = split ? splitBatch(graph, images, writeFeatures) : writeFeatures(images)
  const count = options.watched?.sums.length ?? 0
  const features = { ...computed, node: splitPeaks(graph, computed, count) }
  graph.floats('Identity', [features.node], 'features')
  const logits = graph.floats('Identity', [ops.float(classify(ops, specification, features))], 'logits')
  const probabilities = graph.floats('Softmax', [logits], 'probabilities')
  const terms = graph.floats('Xlogy', [probabilities, probabilities])
  graph.floats('Neg', [graph.floats('Sum', [terms, graph.integers([1])])], 'entropy')
  const top = graph.floats('TopKV2', [logits, k], 'top')
  const gathering = { Tparams: FLOAT, Tindices: INT32, Taxis: INT32, batch_dims: { integer: 1 } }
  const gathered = [probabilities, `${top}:1`, graph.integers([1], [])]
  graph.node('GatherV2', gathered, gathering, { name: 'top_probabilities' })
  const allFinite = graph.node('All', [graph.floats('IsFinite', [logits]), graph.integers([1])])
  graph.node('Cast', [allFinite], { SrcT: BOOL, DstT: INT32 }, { name: 'finite' })
  return ops.variables
}

/** Concatenates the peaks to the features, so that a split batch is joined as one tensor. */
function appendPeaks(graph: GraphWriter, features: string, peaks: readonly string[]): string {
  if (peaks.length === 0) return features
  const packing = { T: FLOAT, N: { integer: peaks.length }, axis: { integer: 1 } }
  const joining = { T: FLOAT, Tidx: INT32, N: { integer: 2 } }
  return graph.node(
    'ConcatV2',
    [features, graph.node('Pack', peaks, packing), graph.integers([1], [])],
    joining,
  )
}

function splitPeaks(
  graph: GraphWriter,
  { node, shape }: Pick<Value, 'shape'> & { node: string },
  count: number,
): string {
  if (count === 0) return node
  const sizes = graph.integers([sizeOf(shape), count])
  const parts = graph.node('SplitV', [node, sizes, graph.integers([1], [])], {
    ...{ T: FLOAT, Tlen: INT32 },
    num_split: { integer: 2 },
  })
  graph.floats('Identity', [`${parts}:1`], 'peaks')
  return parts
}

export function choosePrecision({ precision }: Specification): Precision {
  return precision === 'bfloat16' ? BFLOAT16 : FLOAT
}

/**
 * (x * scale - mean) / std of float pixels as one multiplication and one addition per channel, over whole rows of
 * the image: a broadcast over three channels is ten times slower in TensorFlow.
 */
export function preprocess(
  graph: GraphWriter,
  pixels: string,
  [height = 0, width = 0, channels = 0]: readonly number[],
  { scale, mean, std, channel_order }: Preprocessing,
): string {
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
  if (channel_order === 'bgr') x = graph.floats('ReverseV2', [x, graph.integers([3])])
  if (!multiplies && !adds) return x
  x = reshaped(x, [-1, row])
  if (multiplies) x = graph.floats('Mul', [x, perChannel(factors)])
  if (adds) x = graph.floats('AddV2', [x, perChannel(summands)])
  return reshaped(x, [-1, height, width, channels])
}
