import { DataType, messageOf, messagesOf, shapeMessage, type Message } from './proto.ts'

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
  readonly name?: string | undefined
  readonly device?: string
}

const NO_ATTRIBUTES: Readonly<Record<string, Attribute>> = {}
export const FLOAT = { type: DataType.float } as const
export const DOUBLE = { type: DataType.double } as const
export const BFLOAT16 = { type: DataType.bfloat16 } as const
export const INT32 = { type: DataType.int32 } as const

/**
 * Writes a GraphDef, node by node. Names are given or counted; a node's name is how later nodes refer to it. The types
 * of values are always said; other attributes only where they are not the op's default, which loaders fill in.
 */
export class GraphWriter {
  readonly #nodes: Message[] = []
  readonly #constants = new Map<string, string>()
  #count = 0

  node(
    op: string,
    inputs: readonly string[],
    attributes = NO_ATTRIBUTES,
    { name = `${op}_${String(this.#count++)}`, device = '' }: NodeOptions = {},
  ): string {
    const fields = { Name: name, Op: op, Device: device, InputList: inputs }
    this.#nodes.push(messageOf('NodeDef', fields, { Attr: messagesOf(attributes, attributeMessage) }))
    return name
  }

  /** A node over float32 values. */
  floats(op: string, inputs: readonly string[], name?: string): string {
    return this.node(op, inputs, { T: FLOAT }, { name })
  }

  cast(x: string, from: { readonly type: number }, to: { readonly type: number }): string {
    return this.node('Cast', [x], { SrcT: from, DstT: to })
  }

  /** A constant tensor. Equal constants are one node. */
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

  /** An int32 constant: a vector, unless another shape is said. */
  integers(values: readonly number[], shape: readonly number[] = [values.length]): string {
    return this.constant(Int32Array.from(values), shape, DataType.int32)
  }

  /** A float32 constant: a scalar. */
  number(value: number): string {
    return this.constant(Float32Array.of(value), [], DataType.float)
  }

  placeholder(name: string, type: number, shape: readonly number[]): string {
    return this.node('Placeholder', [], { dtype: { type }, shape: { shape } }, { name })
  }

  /** The GraphDef so far. */
  get message(): Message {
    // The oldest TensorFlow that knows every op used here reads the graph; the producer is that of TensorFlow 2.16.
    const versions = messageOf('VersionDef', { Producer: 1800, MinConsumer: 12 })
    return messageOf('GraphDef', { NodeList: this.#nodes, Versions: versions })
  }
}

function attributeMessage(value: Attribute): Message {
  if ('type' in value) return messageOf('AttrValue', { Type: value.type })
  if ('text' in value) return messageOf('AttrValue', { S: Buffer.from(value.text) })
  if ('shape' in value) return messageOf('AttrValue', { Shape: shapeMessage(value.shape) })
  if ('flag' in value) return messageOf('AttrValue', { B: value.flag })
  if ('integer' in value) return messageOf('AttrValue', { I: value.integer })
  if ('integers' in value) {
    return messageOf('AttrValue', { List: messageOf('AttrValue.ListValue', { IList: value.integers }) })
  }
  const { type, shape, bytes } = value.tensor
  const tensor = { Dtype: type, TensorShape: shapeMessage(shape), TensorContent: bytes }
  return messageOf('AttrValue', { Tensor: messageOf('Tensor', tensor) })
}
