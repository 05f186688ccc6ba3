import { createRequire } from 'node:module'

/**
 * TensorFlow's protocol messages as tfjs-node ships them (google-protobuf, without types). Only what the graph writer
 * uses is described here.
 */
interface Message {
  serializeBinary(): Uint8Array
}
interface ProtoMap<V> {
  set(key: string, value: V): void
}
export interface ShapeMessage extends Message {
  addDim(dim: DimMessage): void
}
interface DimMessage extends Message {
  setSize(size: number): void
}
interface TensorMessage extends Message {
  setDtype(type: number): void
  setTensorShape(shape: ShapeMessage): void
  setTensorContent(bytes: Uint8Array): void
}
export interface AttrMessage extends Message {
  setType(type: number): void
  setS(bytes: Uint8Array): void
  setB(value: boolean): void
  setI(value: number): void
  setList(list: ListMessage): void
  setTensor(tensor: TensorMessage): void
  setShape(shape: ShapeMessage): void
}
interface ListMessage extends Message {
  setIList(values: readonly number[]): void
}
interface NodeMessage extends Message {
  setName(name: string): void
  setOp(op: string): void
  setDevice(device: string): void
  addInput(input: string): void
  getAttrMap(): ProtoMap<AttrMessage>
}
export interface GraphMessage extends Message {
  addNode(node: NodeMessage): void
  setVersions(versions: VersionMessage): void
}
interface VersionMessage extends Message {
  setProducer(version: number): void
  setMinConsumer(version: number): void
}
interface TensorInfoMessage extends Message {
  setName(name: string): void
  setDtype(type: number): void
  setTensorShape(shape: ShapeMessage): void
}
interface SignatureMessage extends Message {
  getInputsMap(): ProtoMap<TensorInfoMessage>
  getOutputsMap(): ProtoMap<TensorInfoMessage>
  setMethodName(name: string): void
}
interface MetaGraphMessage extends Message {
  setMetaInfoDef(info: Message & { addTags(tag: string): void }): void
  setGraphDef(graph: GraphMessage): void
  getSignatureDefMap(): ProtoMap<SignatureMessage>
}
interface SavedModelMessage extends Message {
  setSavedModelSchemaVersion(version: number): void
  addMetaGraphs(graph: MetaGraphMessage): void
}

interface Proto {
  readonly GraphDef: new () => GraphMessage
  readonly NodeDef: new () => NodeMessage
  readonly VersionDef: new () => VersionMessage
  readonly TensorInfo: new () => TensorInfoMessage
  readonly SignatureDef: new () => SignatureMessage
  readonly SavedModel: new () => SavedModelMessage
  readonly Tensor: new () => TensorMessage
  readonly TensorShape: (new () => ShapeMessage) & { readonly Dim: new () => DimMessage }
  readonly AttrValue: (new () => AttrMessage) & { readonly ListValue: new () => ListMessage }
  readonly MetaGraphDef: (new () => MetaGraphMessage) & {
    readonly MetaInfoDef: new () => Message & { addTags(tag: string): void }
  }
}

export const proto = createRequire(import.meta.url)('@tensorflow/tfjs-node-gpu/dist/proto/api_pb.js') as Proto

/** Values of TensorFlow's `DataType`; uint64 postdates the messages tfjs-node ships, but not the library. */
export const DataType = { float: 1, int32: 3, uint8: 4, uint64: 23 } as const
