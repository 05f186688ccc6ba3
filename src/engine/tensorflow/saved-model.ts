import { mkdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { temporaryFailed } from '../../storage-errors.ts'
import type { GraphWriter } from './graph.ts'
import { encodeSavedModel, type SaverDef, type SignatureDef, type TensorInfo } from './proto.ts'

interface Signature {
  readonly inputs: Readonly<Record<string, TensorInfo>>
  readonly outputs: Readonly<Record<string, TensorInfo>>
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
  const method = 'tensorflow/serving/predict'
  const definitions: Record<string, SignatureDef> = {}
  for (const [name, signature] of Object.entries(signatures)) definitions[name] = { ...signature, method }
  if (initOp !== undefined) definitions[INIT_OP] = { outputs: { [INIT_OP]: { name: initOp } } }
  const metaGraph = {
    ...{ tags: ['serve'], graph: graph.definition, saver: restore && saverOf(restore) },
    signatures: definitions,
  }
  return encodeSavedModel({ schemaVersion: 1, metaGraph })
}

function saverOf({ path, op }: NonNullable<SavedModelContents['restore']>): SaverDef {
  // Nothing saves: loaders restore only, yet ask for a name.
  return { filenameTensor: path, saveTensor: path, restoreOp: op, version: CHECKPOINT_V2 }
}

/** Lays a SavedModel into a folder of its own for as long as `use` runs; a loaded session needs it no longer. */
export async function withSavedModelFolder<R>(
  bytes: Uint8Array,
  use: (folder: string) => R | Promise<R>,
): Promise<R> {
  const folder = await temporary(makeFolder())
  try {
    await temporary(mkdir(join(folder, 'variables')))
    await temporary(writeFile(join(folder, 'saved_model.pb'), bytes))
    return await use(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** A change of the temporary directory: STORAGE_FAILED where it could not be made. */
async function temporary<R>(write: Promise<R>): Promise<R> {
  try {
    return await write
  } catch (error) {
    throw temporaryFailed(error)
  }
}

/**
 * The first of a row that is not there yet, so that the same few come again: TensorFlow counts loads by their path, and
 * keeps 2 KB for every path it has met (tensorflow/cc/saved_model/loader.cc).
 */
async function makeFolder(): Promise<string> {
  for (let number = 1; ; number++) {
    const folder = join(tmpdir(), `resinit-${String(number)}`)
    try {
      await mkdir(folder, { mode: 0o700 })
      return folder
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}
