import { PbfWriter } from 'pbf'
import { writeVariableCollection, type VariableDef } from './variable-definitions.ts'

/**
 * TensorFlow's protocol buffer messages (tensorflow/core/framework and tensorflow/core/protobuf), with the fields
 * that this service writes: in numerical order, defaults omitted. Nothing is read.
 */
export interface SavedModel {
  readonly schemaVersion: number
  readonly metaGraph: MetaGraphDef
}

interface MetaGraphDef {
  readonly tags: readonly string[]
  readonly graph: GraphDef
  readonly saver?: SaverDef | undefined
  readonly variables?: readonly VariableDef[] | undefined
  readonly signatures: Readonly<Record<string, SignatureDef>>
}

export interface SaverDef {
  readonly filenameTensor: string
  readonly saveTensor: string
  readonly restoreOp: string
  readonly version: number
}

export interface SignatureDef {
  readonly inputs?: Readonly<Record<string, TensorInfo>>
  readonly outputs?: Readonly<Record<string, TensorInfo>>
  readonly method?: string
}

/** A tensor of the graph; -1 is the batch. An op has only a name. */
export interface TensorInfo {
  readonly name: string
  readonly type?: number
  readonly shape?: readonly number[]
}

export interface GraphDef {
  readonly nodes: readonly NodeDef[]
  readonly functions: readonly FunctionDef[]
  readonly versions: { readonly producer: number; readonly minConsumer: number }
}

export interface NodeDef {
  readonly name: string
  readonly op: string
  readonly inputs: readonly string[]
  readonly device: string
  readonly attributes: Readonly<Record<string, AttrValue>>
}

/** A function of the graph, with one argument `x` and one result `y`. */
export interface FunctionDef {
  readonly name: string
  readonly argument: number
  readonly result: number
  readonly nodes: readonly NodeDef[]
  /** The source of `y`. */
  readonly returned: string
}

/** An attribute of a node: one of these kinds. */
export type AttrValue =
  | { readonly type: number }
  | { readonly text: string }
  | { readonly flag: boolean }
  | { readonly integer: number }
  | { readonly integers: readonly number[] }
  | { readonly shape: readonly number[] }
  | { readonly types: readonly number[] }
  | { readonly shapes: readonly (readonly number[])[] }
  /** A constant vector. */
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

/** Values of TensorFlow's `DataType`. */
export const DataType = {
  float: 1,
  double: 2,
  int32: 3,
  uint8: 4,
  string: 7,
  bool: 10,
  bfloat16: 14,
  complex128: 18,
  uint64: 23,
} as const

export function encodeSavedModel(model: SavedModel): Uint8Array {
  const pbf = new PbfWriter()
  pbf.writeVarintField(1, model.schemaVersion)
  pbf.writeMessage(2, writeMetaGraph, model.metaGraph)
  return pbf.finish()
}

function writeMetaGraph(
  { tags, graph, saver, variables = [], signatures }: MetaGraphDef,
  pbf: PbfWriter,
): void {
  pbf.writeMessage(1, writeTags, tags)
  pbf.writeMessage(2, writeGraph, graph)
  if (saver !== undefined) pbf.writeMessage(3, writeSaver, saver)
  if (variables.length > 0) pbf.writeMessage(4, writeVariableCollection, variables)
  writeMap(5, writeSignature, signatures, pbf)
}

/** MetaGraphDef.MetaInfoDef. */
function writeTags(tags: readonly string[], pbf: PbfWriter): void {
  for (const tag of tags) pbf.writeStringField(4, tag)
}

function writeSaver({ filenameTensor, saveTensor, restoreOp, version }: SaverDef, pbf: PbfWriter): void {
  pbf.writeStringField(1, filenameTensor)
  pbf.writeStringField(2, saveTensor)
  pbf.writeStringField(3, restoreOp)
  pbf.writeVarintField(7, version)
}

function writeSignature({ inputs = {}, outputs = {}, method }: SignatureDef, pbf: PbfWriter): void {
  writeMap(1, writeTensorInfo, inputs, pbf)
  writeMap(2, writeTensorInfo, outputs, pbf)
  if (method !== undefined) pbf.writeStringField(3, method)
}

function writeTensorInfo({ name, type, shape }: TensorInfo, pbf: PbfWriter): void {
  pbf.writeStringField(1, name)
  if (type !== undefined) pbf.writeVarintField(2, type)
  if (shape !== undefined) pbf.writeMessage(3, writeShape, shape)
}

function writeGraph({ nodes, functions, versions }: GraphDef, pbf: PbfWriter): void {
  for (const node of nodes) pbf.writeMessage(1, writeNode, node)
  pbf.writeMessage(2, writeLibrary, functions)
  pbf.writeMessage(4, writeVersions, versions)
}

function writeVersions({ producer, minConsumer }: GraphDef['versions'], pbf: PbfWriter): void {
  pbf.writeVarintField(1, producer)
  pbf.writeVarintField(2, minConsumer)
}

function writeLibrary(functions: readonly FunctionDef[], pbf: PbfWriter): void {
  for (const definition of functions) pbf.writeMessage(1, writeFunction, definition)
}

function writeFunction(one: FunctionDef, pbf: PbfWriter): void {
  pbf.writeMessage(1, writeOpDef, one)
  for (const node of one.nodes) pbf.writeMessage(3, writeNode, node)
  pbf.writeMessage(4, writeReturned, one.returned)
}

/** An entry of the map `ret`. */
function writeReturned(from: string, pbf: PbfWriter): void {
  pbf.writeStringField(1, 'y')
  pbf.writeStringField(2, from)
}

function writeOpDef({ name, argument, result }: FunctionDef, pbf: PbfWriter): void {
  pbf.writeStringField(1, name)
  pbf.writeMessage(2, writeArgDef, { name: 'x', type: argument })
  pbf.writeMessage(3, writeArgDef, { name: 'y', type: result })
}

function writeArgDef({ name, type }: { readonly name: string; readonly type: number }, pbf: PbfWriter): void {
  pbf.writeStringField(1, name)
  pbf.writeVarintField(3, type)
}

function writeNode({ name, op, inputs, device, attributes }: NodeDef, pbf: PbfWriter): void {
  pbf.writeStringField(1, name)
  pbf.writeStringField(2, op)
  for (const input of inputs) pbf.writeStringField(3, input)
  if (device !== '') pbf.writeStringField(4, device)
  writeMap(5, writeAttribute, attributes, pbf)
}

function writeAttribute(value: AttrValue, pbf: PbfWriter): void {
  if ('type' in value) pbf.writeVarintField(6, value.type)
  else if ('text' in value) pbf.writeStringField(2, value.text)
  else if ('flag' in value) pbf.writeBooleanField(5, value.flag)
  else if ('integer' in value) pbf.writeVarintField(3, value.integer)
  else if ('shape' in value) pbf.writeMessage(7, writeShape, value.shape)
  else if ('tensor' in value) pbf.writeMessage(8, writeTensor, value.tensor)
  else if ('texts' in value) pbf.writeMessage(8, writeTexts, value.texts)
  else if ('call' in value) pbf.writeMessage(10, writeText, value.call)
  else pbf.writeMessage(1, writeList, value)
}

type List = Extract<
  AttrValue,
  { readonly integers: unknown } | { readonly types: unknown } | { readonly shapes: unknown }
>

/** AttrValue.ListValue. */
function writeList(value: List, pbf: PbfWriter): void {
  if ('integers' in value) pbf.writePackedVarint(3, [...value.integers])
  else if ('types' in value) pbf.writePackedVarint(6, [...value.types])
  else for (const shape of value.shapes) pbf.writeMessage(7, writeShape, shape)
}

function writeTensor(
  {
    type,
    shape,
    bytes,
  }: { readonly type: number; readonly shape: readonly number[]; readonly bytes: Uint8Array },
  pbf: PbfWriter,
): void {
  pbf.writeVarintField(1, type)
  pbf.writeMessage(2, writeShape, shape)
  if (bytes.length > 0) pbf.writeBytesField(4, bytes)
}

/** A tensor of strings. */
function writeTexts(texts: readonly string[], pbf: PbfWriter): void {
  pbf.writeVarintField(1, DataType.string)
  pbf.writeMessage(2, writeShape, [texts.length])
  for (const text of texts) pbf.writeStringField(8, text)
}

function writeShape(shape: readonly number[], pbf: PbfWriter): void {
  for (const size of shape) pbf.writeMessage(2, writeSize, size)
}

function writeSize(size: number, pbf: PbfWriter): void {
  if (size !== 0) pbf.writeVarintField(1, size)
}

/** A message whose first field is a string. */
function writeText(text: string, pbf: PbfWriter): void {
  pbf.writeStringField(1, text)
}

/** A map from strings to messages: one message per entry. */
function writeMap<V>(
  tag: number,
  write: (value: V, pbf: PbfWriter) => void,
  entries: Readonly<Record<string, V>>,
  pbf: PbfWriter,
): void {
  for (const [key, value] of Object.entries(entries)) {
    pbf.writeMessage(
      tag,
      () => {
        pbf.writeStringField(1, key)
        pbf.writeMessage(2, write, value)
      },
      undefined,
    )
  }
}
