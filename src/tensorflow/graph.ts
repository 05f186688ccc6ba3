import { DataType, type FunctionDef, type GraphDef, type NodeDef } from './proto.ts'

export interface NodeOptions {
  readonly name?: string | undefined
  readonly device?: string
}

const NO_ATTRIBUTES: NodeDef['attributes'] = {}
export const FLOAT = { type: DataType.float } as const
export const DOUBLE = { type: DataType.double } as const
export const BFLOAT16 = { type: DataType.bfloat16 } as const
export const UINT8 = { type: DataType.uint8 } as const
export const STRING = { type: DataType.string } as const
export const BOOL = { type: DataType.bool } as const
export const INT32 = { type: DataType.int32 } as const

/**
 * Writes a GraphDef node by node. Nodes without a given name are numbered; later nodes refer to a node by name.
 * Types of values are always written, other attributes only if they differ from the op's default.
 */
export class GraphWriter {
  readonly #nodes: NodeDef[] = []
  readonly #functions: FunctionDef[] = []
  readonly #constants = new Map<string, string>()
  #count = 0

  node(
    op: string,
    inputs: readonly string[],
    attributes = NO_ATTRIBUTES,
    { name = `${op}_${String(this.#count++)}`, device = '' }: NodeOptions = {},
  ): string {
    this.#nodes.push({ name, op, inputs, device, attributes })
    return name
  }

  /** A node over float32 values. */
  floats(op: string, inputs: readonly string[], name?: string): string {
    return this.node(op, inputs, { T: FLOAT }, { name })
  }

  cast(x: string, from: { readonly type: number }, to: { readonly type: number }): string {
    return this.node('Cast', [x], { SrcT: from, DstT: to })
  }

  /** A constant tensor. Equal constants share one node. */
  constant(
    values: Float32Array | Float64Array | Int32Array | Uint32Array,
    shape: readonly number[],
    type: number,
  ): string {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    const key = `${String(type)}:${shape.join()}:${Buffer.from(bytes).toString('hex')}`
    const known = this.#constants.get(key)
    if (known !== undefined) return known
    const name = this.node('Const', [], { dtype: { type }, value: { tensor: { type, shape, bytes } } })
    this.#constants.set(key, name)
    return name
  }

  /** An int32 constant, by default a vector. */
  integers(values: readonly number[], shape: readonly number[] = [values.length]): string {
    return this.constant(Int32Array.from(values), shape, DataType.int32)
  }

  /** A float32 scalar. */
  number(value: number): string {
    return this.constant(Float32Array.of(value), [], DataType.float)
  }

  /** A constant vector of strings. */
  texts(values: readonly string[]): string {
    return this.node('Const', [], { dtype: STRING, value: { texts: values } })
  }

  placeholder(name: string, type: number, shape: readonly number[]): string {
    return this.node('Placeholder', [], { dtype: { type }, shape: { shape } }, { name })
  }

  /**
   * A function with one argument and one result. `write` receives the argument and returns the node of the result.
   */
  unaryFunction(
    name: string,
    types: Pick<FunctionDef, 'argument' | 'result'>,
    write: (body: GraphWriter, argument: string) => string,
  ): void {
    const body = new FunctionWriter()
    const returned = write(body, 'x')
    this.#functions.push({ name, ...types, nodes: body.definition.nodes, returned })
  }

  /** The GraphDef so far. */
  get definition(): GraphDef {
    // All TensorFlow versions with these ops can read the graph. The producer version is the one of TensorFlow 2.16.
    const versions = { producer: 1800, minConsumer: 12 }
    return { nodes: this.#nodes, functions: this.#functions, versions }
  }
}

/** Functions refer to a node by the name of its output in the op definition. */
const FIRST_OUTPUTS: Readonly<Record<string, string>> = {
  ...{ AddV2: 'z', Cast: 'y', Const: 'output', DecodeJpeg: 'image', EnsureShape: 'output', Mul: 'z' },
  ...{ Reshape: 'output', ReverseV2: 'output' },
}

/** Writes the nodes of a function. Supports the ops of the table above. */
class FunctionWriter extends GraphWriter {
  override node(...args: Parameters<GraphWriter['node']>): string {
    const [op] = args
    const output = FIRST_OUTPUTS[op]
    if (output === undefined) throw new TypeError(`${op} is not supported in a function`)
    return `${super.node(...args)}:${output}:0`
  }
}
