import { basename, extname } from 'node:path'
import { baseName, entryError, readEntry } from './preload-entries.ts'

/** Extensions of weights in one file, in order of preference. */
const EXTENSIONS = ['.safetensors', '.bin', '.pth', '.pt', '.keras', '.h5']
/** Names of weights files that say nothing about the model. */
const GENERIC = /^(model|model\.weights|pytorch_model|tf_model|weights)$/
const INDEX = '.safetensors.index.json'
const TFJS = 'model.json'

export const CONFIG = 'config.json'
export const PREPROCESSOR = 'preprocessor_config.json'
export const SPECIFICATION = 'spec.json'

/** Weights of one model in a single file, as far as the name shows. */
export function isWeightsFile(file: string): boolean {
  return EXTENSIONS.includes(extname(file))
}

/**
 * The weights files of a folder that holds one model; undefined for a folder of specifications and separate models. The
 * former has a configuration, an index of shards, a manifest of TensorFlow.js, one `spec.json`, or only weights with
 * a generic name. Below the folder of PRELOAD a single weights file is enough.
 */
export async function findModelWeights(
  folder: string,
  files: readonly string[],
  isRoot: boolean,
): Promise<string[] | undefined> {
  const find = (name: string): string | undefined => files.find((file) => basename(file) === name)
  const weights = files.filter(isWeightsFile)
  if (weights.length === 0) return undefined
  const index = files.find((file) => file.endsWith(INDEX))
  if (index !== undefined) return [index, ...selectNamed(weights, await readShardNames(index))]
  const manifest = find(TFJS)
  const tfjs = manifest === undefined ? undefined : await readManifestNames(manifest)
  const json = files.filter((file) => extname(file) === '.json')
  const isModel =
    [CONFIG, PREPROCESSOR].some((name) => find(name) !== undefined) ||
    tfjs !== undefined ||
    (json.length === 0 && (weights.every(isGeneric) || (!isRoot && weights.length === 1))) ||
    (json.length === 1 && find(SPECIFICATION) !== undefined)
  if (!isModel) return undefined
  const safetensors = weights.some((file) => extname(file) === '.safetensors')
  if (manifest !== undefined && tfjs !== undefined && !safetensors)
    return [manifest, ...selectNamed(weights, tfjs)]
  return [selectFile(folder, weights)]
}

function isGeneric(file: string): boolean {
  return GENERIC.test(baseName(file))
}

/** The file of the preferred kind; among several the one with a generic name. */
function selectFile(folder: string, weights: readonly string[]): string {
  const kinds = EXTENSIONS.map((extension) => weights.filter((file) => extname(file) === extension))
  const [first, ...more] = kinds.find((kind) => kind.length > 0) ?? []
  if (first === undefined) throw new TypeError('a folder of weights without weights')
  if (more.length === 0) return first
  const generic = [first, ...more].find(isGeneric)
  if (generic !== undefined) return generic
  const names = [first, ...more].map((file) => basename(file)).join(', ')
  throw entryError(folder, `it contains several weights files of one model: ${names}; keep one`)
}

function selectNamed(files: readonly string[], names: ReadonlySet<unknown>): string[] {
  return files.filter((file) => names.has(basename(file)))
}

async function readShardNames(index: string): Promise<Set<unknown>> {
  const { weight_map: map } = { ...((await readEntry(index)) as { readonly weight_map?: unknown } | null) }
  if (typeof map === 'object' && map !== null) return new Set(Object.values(map))
  throw entryError(index, `is no index of shards: it has no weight_map`)
}

/** The names in a manifest of TensorFlow.js; undefined for another file. */
async function readManifestNames(path: string): Promise<Set<unknown> | undefined> {
  const { weightsManifest: groups } = {
    ...((await readEntry(path)) as { readonly weightsManifest?: unknown } | null),
  }
  if (!Array.isArray(groups)) return undefined
  return new Set(
    groups.flatMap((group: { readonly paths?: unknown } | null) =>
      Array.isArray(group?.paths) ? (group.paths as unknown[]) : [],
    ),
  )
}
