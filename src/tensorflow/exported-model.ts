import { draw } from '../initializers/draw.ts'
import { INITIAL_MOMENTS } from '../network/parameters.ts'
import type { Plan } from '../network/plan.ts'
import { residualNetwork } from '../network/residual-network.ts'
import type { Parameter } from '../network/shapes.ts'
import { GraphDrawOps } from './draw-ops.ts'
import { NormFoldingGraph } from './norm-folding.ts'
import { FLOAT, GraphWriter, STRING } from './graph.ts'
import { tensor, type Value } from './graph-values.ts'
import { GraphNetworkOps } from './network-ops.ts'
import { DataType, type TensorInfo } from './proto.ts'
import { choosePrecision, preprocess } from './recipe.ts'
import { savedModelBytes } from './saved-model.ts'
import type { VariableDef } from './variable-definitions.ts'

/** The source of an exported model's weights: its init op, or a checkpoint beside it. */
export type ExportedWeights = 'drawn' | 'checkpoint'

/** Names of an exported model's tensors. */
export const EXPORTED = { images: 'images:0', logits: 'logits:0', probabilities: 'probabilities:0' } as const

/**
 * The bytes of `saved_model.pb` for any TensorFlow. With drawn weights the init op draws every weight. With loaded
 * weights the parameters are variables that are restored from a checkpoint under their own names, and the init op
 * folds them; folded kernels can differ from a session's here in the last bit, because TensorFlow's optimizers may
 * reorder their factors.
 *
 * Signatures: `serving_default`, float32 `images` of pixels 0..255 to `logits` and `probabilities`; `weights`,
 * every unfolded parameter by name; `block_outputs`, each block's sum before its last ReLU, by the block's name.
 */
export function exportedModel(
  { specification, initialized, parameters }: Plan,
  weights: ExportedWeights,
): Uint8Array {
  const graph = new GraphWriter()
  const draws = new GraphDrawOps(graph)
  const path = weights === 'checkpoint' ? graph.placeholder('checkpoint', DataType.string, []) : undefined
  const restored: VariableDef[] = []
  const byName = new Map(initialized.map((parameter) => [parameter.name, parameter]))
  const values = new Map<string, string>()
  const source = (parameter: Parameter): string => {
    const known = byName.get(parameter.name)
    const value =
      path !== undefined
        ? restoreParameter(graph, parameter, path, restored)
        : known
          ? draw(draws, known.law, known.shape, known.seed)
          : draws.fill(parameter.shape, INITIAL_MOMENTS[parameter.role as keyof typeof INITIAL_MOMENTS])
    values.set(parameter.name, value)
    return value
  }

  const { architecture, preprocessing, classes } = specification
  const shape = architecture.input_shape
  const folding = new NormFoldingGraph(draws, source)
  const ops = new BlockSumOps(graph, {
    precision: choosePrecision(specification),
    source: (value) => folding.node(value),
  })
  const pixels = graph.placeholder('images', DataType.float, [-1, ...shape])
  const images = preprocess(graph, pixels, shape, preprocessing)
  const forward = residualNetwork(ops, specification, tensor(images, shape, FLOAT))
  const logits = graph.floats('Identity', [ops.float(forward.logits)], 'logits')
  graph.floats('Softmax', [logits], 'probabilities')

  const float = (name: string, dimensions: readonly number[]): TensorInfo => ({
    ...{ name, type: DataType.float },
    shape: dimensions,
  })
  const inputs = { images: float(EXPORTED.images, [-1, ...shape]) }
  const rows = [-1, classes]
  const signatures = {
    serving_default: {
      inputs,
      outputs: { logits: float(EXPORTED.logits, rows), probabilities: float(EXPORTED.probabilities, rows) },
    },
    weights: {
      inputs: {},
      outputs: Object.fromEntries(
        parameters.map(({ name, shape }) => [name, float(`${values.get(name) ?? ''}:0`, shape)]),
      ),
    },
    block_outputs: {
      inputs,
      outputs: Object.fromEntries(
        [...ops.sums].map(([block, sum]) => [block, float(`${ops.float(sum)}:0`, [-1, ...sum.shape])]),
      ),
    },
  }
  const assigns = ops.variables.map(({ assign }) => `^${assign}`)
  const initOp = graph.node('NoOp', assigns, {}, { name: 'init' })
  const restores = restored.map(({ assign }) => `^${assign}`)
  const restore =
    path === undefined
      ? undefined
      : { path: `${path}:0`, op: graph.node('NoOp', restores, {}, { name: 'restore' }) }
  const variables = [...restored, ...ops.variables]
  return savedModelBytes({ graph, signatures, initOp, variables, restore })
}

/** Writes a variable for an unfolded parameter, its restore op, and a read. Returns the read's node. */
function restoreParameter(
  graph: GraphWriter,
  { name, shape }: Parameter,
  path: string,
  restored: VariableDef[],
): string {
  const scoped = `parameters/${name}`
  const dtype = { dtype: FLOAT }
  const attributes = { ...dtype, shape: { shape }, shared_name: { text: scoped } }
  const handle = graph.node('VarHandleOp', [], attributes, { name: scoped })
  const inputs = [path, graph.texts([name]), graph.texts([''])]
  const value = graph.node('RestoreV2', inputs, { dtypes: { types: [DataType.float] } })
  const assign = graph.node('AssignVariableOp', [handle, value], dtype, { name: `${scoped}/restore` })
  const read = graph.node('ReadVariableOp', [handle], dtype, { name: `${scoped}/read` })
  restored.push({ handle, assign, read })
  return read
}

/** Records the blocks' sums. */
class BlockSumOps extends GraphNetworkOps {
  readonly sums = new Map<string, Value>()

  override add(name: string, branch: Value, shortcut: Value): Value {
    const sum = super.add(name, branch, shortcut)
    this.sums.set(name.slice(0, name.lastIndexOf('/')), sum)
    return sum
  }
}

export const CHECKPOINTING = {
  ...{ path: 'path:0', names: 'names:0', slices: 'slices:0' },
  ...{ parts: 'parts:0', whole: 'whole:0', merged: 'merged:0' },
  value: (index: number) => `value${String(index)}:0`,
  saved: (count: number) => `saved${String(count)}:0`,
} as const

/**
 * A graph that writes checkpoints: one for each count, with that many tensors or parts of tensors. It also merges
 * several checkpoints into one.
 */
export function checkpointingGraph(counts: readonly number[]): Uint8Array {
  const graph = new GraphWriter()
  const path = graph.placeholder('path', DataType.string, [])
  const names = graph.placeholder('names', DataType.string, [-1])
  const slices = graph.placeholder('slices', DataType.string, [-1])
  const values = Array.from({ length: Math.max(...counts) }, (_, index) =>
    graph.node('Placeholder', [], { dtype: FLOAT }, { name: `value${String(index)}` }),
  )
  for (const count of new Set(counts)) {
    const dtypes = { types: values.slice(0, count).map(() => DataType.float) }
    const save = graph.node('SaveV2', [path, names, slices, ...values.slice(0, count)], { dtypes })
    graph.node('Identity', [path, `^${save}`], { T: STRING }, { name: `saved${String(count)}` })
  }
  const parts = graph.placeholder('parts', DataType.string, [-1])
  const whole = graph.placeholder('whole', DataType.string, [])
  const merge = graph.node('MergeV2Checkpoints', [parts, whole])
  graph.node('Identity', [whole, `^${merge}`], { T: STRING }, { name: 'merged' })
  return savedModelBytes({ graph, signatures: {} })
}
