import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { GraphWriter } from './graph.ts'
import { messageOf, messagesOf, shapeMessage, type Message } from './proto.ts'

/** A named tensor of the graph, as signatures describe it; -1 is the batch. */
export interface TensorSpec {
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
  /** The op a loader runs once, before any signature and after what restores; it assigns every variable. */
  readonly initOp?: string | undefined
  /** What takes variables from a checkpoint: the tensor that is fed its path, and the op. */
  readonly restore?: { readonly path: string; readonly op: string } | undefined
}

/** Where loaders look for the op to run first. */
const INIT_OP = '__saved_model_init_op'

/** SaverDef.CheckpointFormatVersion of tensor bundles. */
const CHECKPOINT_V2 = 2

/** The bytes of `saved_model.pb`. */
export function savedModelBytes({ graph, signatures, initOp, restore }: SavedModelContents): Uint8Array {
  const signatureDef = messagesOf(signatures, signatureMessage)
  if (initOp !== undefined) {
    const op = messageOf('TensorInfo', { Name: initOp })
    signatureDef[INIT_OP] = messageOf('SignatureDef', {}, { Outputs: { [INIT_OP]: op } })
  }
  const info = messageOf('MetaGraphDef.MetaInfoDef', { TagsList: ['serve'] })
  const metaGraph = messageOf(
    'MetaGraphDef',
    {
      ...{ MetaInfoDef: info, GraphDef: graph.message },
      ...(restore && { SaverDef: saverMessage(restore) }),
    },
    { SignatureDef: signatureDef },
  )
  const savedModel = messageOf('SavedModel', { SavedModelSchemaVersion: 1, MetaGraphsList: [metaGraph] })
  return savedModel.serializeBinary()
}

function saverMessage({ path, op }: NonNullable<SavedModelContents['restore']>): Message {
  // Nothing saves: loaders restore only, yet ask for a name.
  return messageOf('SaverDef', {
    ...{ FilenameTensorName: path, SaveTensorName: path, RestoreOpName: op, Version: CHECKPOINT_V2 },
  })
}

function signatureMessage({ inputs, outputs }: Signature): Message {
  const maps = { Inputs: messagesOf(inputs, tensorInfo), Outputs: messagesOf(outputs, tensorInfo) }
  return messageOf('SignatureDef', { MethodName: 'tensorflow/serving/predict' }, maps)
}

function tensorInfo({ tensor, type, shape }: TensorSpec): Message {
  return messageOf('TensorInfo', { Name: tensor, Dtype: type, TensorShape: shapeMessage(shape) })
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
