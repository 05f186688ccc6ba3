import { sizeOf } from '../initializers/fans.ts'
import type { Parameter } from '../network/shapes.ts'
import { FLOAT, INT32, type GraphWriter } from './graph.ts'
import { DataType } from './proto.ts'
import type { Precision } from './graph-values.ts'
import type { Variable } from './network-ops.ts'

/** Larger variables (32 MB of float32) are assigned by rows. */
const WHOLE_AT_MOST = 2 ** 23

/** The nodes that assign a variable. Fetching `assigned` runs the assignment and returns the values as float32. */
export interface VariableAssignment {
  readonly variable: Variable
  /** Placeholder of the variable's value, float32. Not fed if there are rows. */
  readonly value: string
  /** The whole variable, or the rows that were assigned. */
  readonly assigned: string
  /** Set for variables that are too large for one step. */
  readonly rows?: RowAssignment
}

/** The variable as a matrix [n, columns]: fetch `create` once, then `assigned` for each group of rows. */
export interface RowAssignment {
  readonly parameter: Parameter
  readonly columns: number
  readonly create: string
  /** Placeholder of the row indices, int32 [m]. */
  readonly indices: string
  /** Placeholder of the rows, float32 [m, columns]. */
  readonly part: string
}

/** Writes the nodes that assign a variable. */
export function buildAssignment(graph: GraphWriter, variable: Variable): VariableAssignment {
  const { shape, value, type } = variable
  if (value.kind === 'parameter' && shape.length > 1 && sizeOf(shape) > WHOLE_AT_MOST)
    return buildRowAssignment(graph, variable, value.parameter)
  const { handle, assign, source } = variable
  const read = graph.node('ReadVariableOp', [handle, `^${assign}`], { dtype: type })
  const assigned = asFloats(graph, read, type)
  return { variable, value: `${source}:0`, assigned: `${assigned}:0` }
}

/**
 * `InplaceUpdate` writes to the variable's own buffer. After `ResourceStridedSliceAssign` every read would copy the
 * whole variable.
 */
function buildRowAssignment(
  graph: GraphWriter,
  variable: Variable,
  parameter: Parameter,
): VariableAssignment {
  const { name, shape, type, handle } = variable
  const columns = shape.at(-1) ?? 1
  const empty = graph.node('Empty', [graph.integers(shape)], { dtype: type })
  const assign = graph.node('AssignVariableOp', [handle, empty], { dtype: type })
  const create = graph.floats('Identity', [graph.number(0), `^${assign}`])
  const indices = graph.placeholder(`${name}/rows`, DataType.int32, [-1])
  const part = graph.placeholder(`${name}/part`, DataType.float, [-1, columns])
  const cells = graph.node('ReadVariableOp', [handle], { dtype: type })
  const matrix = graph.node('Reshape', [cells, graph.integers([-1, columns])], { T: type })
  const cast = type === FLOAT ? part : graph.cast(part, FLOAT, type)
  const updated = graph.node('InplaceUpdate', [matrix, indices, cast], { T: type })
  const read = graph.node('ReadVariableOp', [handle, `^${updated}`], { dtype: type })
  const table = graph.node('Reshape', [read, graph.integers([-1, columns])], { T: type })
  const rows = graph.node('GatherV2', [table, indices, graph.integers([0], [])], {
    Tparams: type,
    Tindices: INT32,
    Taxis: INT32,
  })
  return {
    variable,
    value: `${variable.source}:0`,
    assigned: `${asFloats(graph, rows, type)}:0`,
    rows: { parameter, columns, create: `${create}:0`, indices: `${indices}:0`, part: `${part}:0` },
  }
}

/** Exact: a bfloat16 is a truncated float32. */
function asFloats(graph: GraphWriter, node: string, type: Precision): string {
  return type === FLOAT ? node : graph.cast(node, type, FLOAT)
}
