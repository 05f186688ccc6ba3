import { mkdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { temporaryFailed } from '../common/storage-errors.ts'
import type { GraphWriter } from './graph.ts'
import type { VariableDef } from './variable-definitions.ts'
import { encodeSavedModel, type SaverDef, type SignatureDef, type TensorInfo } from './proto.ts'

interface Signature {
  readonly inputs: Readonly<Record<string, TensorInfo>>
  readonly outputs: Readonly<Record<string, TensorInfo>>
}

export interface SavedModelContents {
  readonly graph: GraphWriter
  readonly signatures: Readonly<Record<string, Signature>>
  /** The op that a loader runs once, after a restore and before any signature. It assigns every variable. */
  readonly initOp?: string | undefined
  /** The variables that Python's loader makes objects of, for conversion to constants. */
  readonly variables?: readonly VariableDef[] | undefined
  /** Restores variables from a checkpoint: the name of the path's tensor, and the op. */
  readonly restore?: { readonly path: string; readonly op: string } | undefined
}

/** The name under which loaders look for the init op. */
const INIT_OP = '__saved_model_init_op'

/** SaverDef.CheckpointFormatVersion of tensor bundles. */
const CHECKPOINT_V2 = 2

/** The bytes of `saved_model.pb`. */
export function savedModelBytes({
  graph,
  signatures,
  initOp,
  variables,
  restore,
}: SavedModelContents): Uint8Array {
  const method = 'tensorflow/serving/predict'
  const definitions: Record<string, SignatureDef> = {}
  for (const [name, signature] of Object.entries(signatures)) definitions[name] = { ...signature, method }
  if (initOp !== undefined) definitions[INIT_OP] = { outputs: { [INIT_OP]: { name: initOp } } }
  const metaGraph = {
    ...{ tags: ['serve'], graph: graph.definition, saver: restore && buildSaver(restore) },
    variables,
    signatures: definitions,
  }
  return encodeSavedModel({ schemaVersion: 1, metaGraph })
}

function buildSaver({ path, op }: NonNullable<SavedModelContents['restore']>): SaverDef {
  // Loaders require the name of a save tensor; nothing is saved.
  return { filenameTensor: path, saveTensor: path, restoreOp: op, version: CHECKPOINT_V2 }
}

/** Writes a SavedModel to a temporary directory while `use` runs. A loaded session does not need the directory. */
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

/** Maps a failed write to the temporary directory to STORAGE_FAILED. */
async function temporary<R>(write: Promise<R>): Promise<R> {
  try {
    return await write
  } catch (error) {
    throw temporaryFailed(error)
  }
}

/**
 * Creates the first directory of a sequence that does not exist, so that few paths are reused: TensorFlow counts
 * loads by path and keeps 2 KB for each path (tensorflow/cc/saved_model/loader.cc).
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
