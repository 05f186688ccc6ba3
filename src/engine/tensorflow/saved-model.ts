import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { shapeMessage, type GraphWriter } from './graph.ts'
import { proto } from './proto.ts'

/** A named tensor of the graph, as signatures describe it; -1 is the batch. */
interface TensorSpec {
  readonly tensor: string
  readonly type: number
  readonly shape: readonly number[]
}

interface Signature {
  readonly inputs: Readonly<Record<string, TensorSpec>>
  readonly outputs: Readonly<Record<string, TensorSpec>>
}

export interface SavedModelContents {
  readonly graph: GraphWriter
  readonly signatures: Readonly<Record<string, Signature>>
  /** The op a loader runs once, before anything else; it assigns every variable. */
  readonly initOp?: string
}

/** The bytes of `saved_model.pb`. */
export function savedModelBytes({ graph, signatures, initOp }: SavedModelContents): Uint8Array {
  const metaGraph = new proto.MetaGraphDef()
  const info = new proto.MetaGraphDef.MetaInfoDef()
  info.addTags('serve')
  metaGraph.setMetaInfoDef(info)
  metaGraph.setGraphDef(graph.message)
  for (const [name, { inputs, outputs }] of Object.entries(signatures)) {
    const signature = new proto.SignatureDef()
    for (const [key, spec] of Object.entries(inputs)) signature.getInputsMap().set(key, tensorInfo(spec))
    for (const [key, spec] of Object.entries(outputs)) signature.getOutputsMap().set(key, tensorInfo(spec))
    signature.setMethodName('tensorflow/serving/predict')
    metaGraph.getSignatureDefMap().set(name, signature)
  }
  if (initOp !== undefined) {
    const signature = new proto.SignatureDef()
    const op = new proto.TensorInfo()
    op.setName(initOp)
    signature.getOutputsMap().set('__saved_model_init_op', op)
    metaGraph.getSignatureDefMap().set('__saved_model_init_op', signature)
  }
  const savedModel = new proto.SavedModel()
  savedModel.setSavedModelSchemaVersion(1)
  savedModel.addMetaGraphs(metaGraph)
  return savedModel.serializeBinary()
}

/** Lays a SavedModel into a folder of its own for as long as `use` runs; a loaded session needs it no longer. */
export async function withSavedModelFolder<R>(
  bytes: Uint8Array,
  use: (folder: string) => R | Promise<R>,
): Promise<R> {
  const folder = await mkdtemp(join(tmpdir(), 'resinit-'))
  try {
    await mkdir(join(folder, 'variables'))
    await writeFile(join(folder, 'saved_model.pb'), bytes)
    return await use(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function tensorInfo({ tensor, type, shape }: TensorSpec): InstanceType<typeof proto.TensorInfo> {
  const info = new proto.TensorInfo()
  info.setName(tensor)
  info.setDtype(type)
  info.setTensorShape(shapeMessage(shape))
  return info
}
