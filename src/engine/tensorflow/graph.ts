import { DataType, proto, type AttrMessage, type GraphMessage, type ShapeMessage } from './proto.ts'

/** An attribute of a node: exactly one of the kinds TensorFlow's AttrValue knows. */
export type Attribute =
  | { readonly type: number }
  | { readonly text: string }
  | { readonly flag: boolean }
  | { readonly integer: number }
  | { readonly integers: readonly number[] }
  | { readonly shape: readonly number[] }
  | {
      readonly tensor: {
        readonly type: number
        readonly shape: readonly number[]
        readonly bytes: Uint8Array
      }
    }

export interface NodeOptions {
  readonly name?: string
  readonly device?: string
}

const NO_ATTRIBUTES: Readonly<Record<string, Attribute>> = {}
export const FLOAT = { type: DataType.float } as const
export const INT32 = { type: DataType.int32 } as const

/** Writes a GraphDef, node by node. Names are given or counted; a node's name is how later nodes refer to it. */
export class GraphWriter {
  readonly #graph: GraphMessage = new proto.GraphDef()
  readonly #constants = new Map<string, string>()
  #count = 0

  constructor() {
    // The oldest TensorFlow that knows every op used here reads the graph; the producer is that of TensorFlow 2.16.
    const versions = new proto.VersionDef()
    versions.setProducer(1800)
    versions.setMinConsumer(12)
    this.#graph.setVersions(versions)
  }

  node(
    op: string,
    inputs: readonly string[],
    attributes = NO_ATTRIBUTES,
    { name, device }: NodeOptions = {},
  ): string {
    const node = new proto.NodeDef()
    const named = name ?? `${op}_${String(this.#count++)}`
    node.setName(named)
    node.setOp(op)
    if (device !== undefined) node.setDevice(device)
    for (const input of inputs) node.addInput(input)
    for (const [key, value] of Object.entries(attributes)) node.getAttrMap().set(key, attributeMessage(value))
    this.#graph.addNode(node)
    return named
  }

  /** A constant tensor. Equal constants are one node. */
  constant(values: Float32Array | Int32Array | Uint32Array, shape: readonly number[], type: number): string {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    const key = `${String(type)}:${shape.join()}:${Buffer.from(bytes).toString('hex')}`
    const known = this.#constants.get(key)
    if (known !== undefined) return known
    const name = this.node('Const', [], { dtype: { type }, value: { tensor: { type, shape, bytes } } })
    this.#constants.set(key, name)
    return name
  }

  integers(values: readonly number[]): string {
    return this.constant(Int32Array.from(values), [values.length], DataType.int32)
  }

  integer(value: number): string {
    return this.constant(Int32Array.of(value), [], DataType.int32)
  }

  number(value: number): string {
    return this.constant(Float32Array.of(value), [], DataType.float)
  }

  placeholder(name: string, type: number, shape: readonly number[]): string {
    return this.node('Placeholder', [], { dtype: { type }, shape: { shape } }, { name })
  }

  get message(): GraphMessage {
    return this.#graph
  }
}

export function shapeMessage(shape: readonly number[]): ShapeMessage {
  const message = new proto.TensorShape()
  for (const size of shape) {
    const dim = new proto.TensorShape.Dim()
    dim.setSize(size)
    message.addDim(dim)
  }
  return message
}

function attributeMessage(value: Attribute): AttrMessage {
  const message = new proto.AttrValue()
  if ('type' in value) message.setType(value.type)
  else if ('text' in value) message.setS(Buffer.from(value.text))
  else if ('flag' in value) message.setB(value.flag)
  else if ('integer' in value) message.setI(value.integer)
  else if ('shape' in value) message.setShape(shapeMessage(value.shape))
  else if ('integers' in value) {
    const list = new proto.AttrValue.ListValue()
    list.setIList(value.integers)
    message.setList(list)
  } else {
    const tensor = new proto.Tensor()
    tensor.setDtype(value.tensor.type)
    tensor.setTensorShape(shapeMessage(value.tensor.shape))
    tensor.setTensorContent(value.tensor.bytes)
    message.setTensor(tensor)
  }
  return message
}
