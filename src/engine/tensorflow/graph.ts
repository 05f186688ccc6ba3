import { DataType, messageOf, messagesOf, shapeMessage, type Message } from './proto.ts'

/** An attribute of a node: exactly one of the kinds TensorFlow's AttrValue knows. */
export type Attribute =
  | { readonly type: number }
  | { readonly text: string }
  | { readonly flag: boolean }
  | { readonly integer: number }
  | { readonly integers: readonly number[] }
  | { readonly shape: readonly number[] }
  | { readonly types: readonly number[] }
  | { readonly shapes: readonly (readonly number[])[] }
  | { readonly texts: readonly string[] }
  /** The name of a function of the graph. */
  | { readonly call: string }
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
export const UINT8 = { type: DataType.uint8 } as const
export const STRING = { type: DataType.string } as const
export const INT32 = { type: DataType.int32 } as const

/**
 * Writes a GraphDef, node by node. Names are given or counted; a node's name is how later nodes refer to it. The types
 * of values are always said; other attributes only where they are not the op's default, which loaders fill in.
 */
export class GraphWriter {
  readonly #nodes: Message[] = []
  readonly #functions: Message[] = []
  readonly #constants = new Map<string, string>()
  #count = 0

  node(
    op: string,
    inputs: readonly string[],
    attributes = NO_ATTRIBUTES,
    { name = `${op}_${String(this.#count++)}`, device = '' }: NodeOptions = {},
  ): string {
    this.#nodes.push(nodeMessage(name, op, inputs, attributes, device))
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

  /** A constant vector of texts. */
  texts(values: readonly string[]): string {
    return this.node('Const', [], { dtype: STRING, value: { texts: values } })
  }

  placeholder(name: string, type: number, shape: readonly number[]): string {
    return this.node('Placeholder', [], { dtype: { type }, shape: { shape } }, { name })
  }

  /** A function of one argument and one result that is a single node: its `output`, by the op's own word for it. */
  unaryFunction(
    name: string,
    types: { readonly argument: number; readonly result: number },
    {
      op,
      output,
      attributes,
    }: { op: string; output: string; attributes: Readonly<Record<string, Attribute>> },
  ): void {
    const signature = messageOf('OpDef', {
      Name: name,
      InputArgList: [messageOf('OpDef.ArgDef', { Name: 'x', Type: types.argument })],
      OutputArgList: [messageOf('OpDef.ArgDef', { Name: 'y', Type: types.result })],
    })
    const nodes = [nodeMessage('body', op, ['x'], attributes)]
    const returned = { Ret: { y: `body:${output}:0` } }
    this.#functions.push(messageOf('FunctionDef', { Signature: signature, NodeDefList: nodes }, returned))
  }

  /** The GraphDef so far. */
  get message(): Message {
    // The oldest TensorFlow that knows every op used here reads the graph; the producer is that of TensorFlow 2.16.
    const versions = messageOf('VersionDef', { Producer: 1800, MinConsumer: 12 })
    const library = messageOf('FunctionDefLibrary', { FunctionList: this.#functions })
    return messageOf('GraphDef', { NodeList: this.#nodes, Versions: versions, Library: library })
  }
}

function nodeMessage(
  name: string,
  op: string,
  inputs: readonly string[],
  attributes: Readonly<Record<string, Attribute>>,
  device = '',
): Message {
  const fields = { Name: name, Op: op, Device: device, InputList: inputs }
  return messageOf('NodeDef', fields, { Attr: messagesOf(attributes, attributeMessage) })
}

function attributeMessage(value: Attribute): Message {
  if ('type' in value) return messageOf('AttrValue', { Type: value.type })
  if ('text' in value) return messageOf('AttrValue', { S: Buffer.from(value.text) })
  if ('shape' in value) return messageOf('AttrValue', { Shape: shapeMessage(value.shape) })
  if ('flag' in value) return messageOf('AttrValue', { B: value.flag })
  if ('integer' in value) return messageOf('AttrValue', { I: value.integer })
  if ('call' in value)
    return messageOf('AttrValue', { Func: messageOf('NameAttrList', { Name: value.call }) })
  if ('integers' in value) return listMessage({ IList: value.integers })
  if ('texts' in value) {
    const shape = shapeMessage([value.texts.length])
    const texts = value.texts.map((text) => Buffer.from(text))
    return messageOf('AttrValue', {
      Tensor: messageOf('Tensor', { Dtype: DataType.string, TensorShape: shape, StringValList: texts }),
    })
  }
  if ('types' in value) return listMessage({ TypeList: value.types })
  if ('shapes' in value) return listMessage({ ShapeList: value.shapes.map(shapeMessage) })
  const { type, shape, bytes } = value.tensor
  const tensor = { Dtype: type, TensorShape: shapeMessage(shape), TensorContent: bytes }
  return messageOf('AttrValue', { Tensor: messageOf('Tensor', tensor) })
}

function listMessage(fields: Readonly<Record<string, unknown>>): Message {
  return messageOf('AttrValue', { List: messageOf('AttrValue.ListValue', fields) })
}
