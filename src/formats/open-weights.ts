import { type ServiceError, quoteName, invalidWeights } from '../common/errors.ts'
import { identifyFile, type FileIdentity } from './identify-file.ts'
import { jsonRecord, readJsonFile } from './json-file.ts'
import { openH5 } from './keras/open-h5.ts'
import { openZipWeights } from './open-zip-weights.ts'
import { openShardedSafetensors } from './safetensors-shards.ts'
import { openSafetensors } from './safetensors.ts'
import { openTfjs } from './tfjs.ts'
import type { WeightsFile, WeightsPart } from './weights-file.ts'

interface IdentifiedPart {
  readonly part: WeightsPart
  readonly identity: FileIdentity
}

/** Opens a format of one file. */
const OPENERS: Readonly<Partial<Record<FileIdentity['kind'], (path: string) => Promise<WeightsFile>>>> = {
  safetensors: openSafetensors,
  zip: openZipWeights,
  hdf5: (path) => openH5(path),
}

const ONLY_SAFETENSORS =
  'is not a safetensors file; an index is supported for safetensors, as save_pretrained(path, safe_serialization=True) writes it'
const NEITHER = 'neither model.json of tfjs nor an index of safetensors'
const SHOWN_KEYS = 5

/**
 * Opens weights of any supported format, which is detected from the content of each part, not from its name. Several
 * parts are the shards of one model and their index, in any order. Throws INVALID_WEIGHTS with the identity of a file
 * that is not supported, and a cure. The caller closes it.
 */
export async function openWeightsFile(parts: readonly WeightsPart[]): Promise<WeightsFile> {
  const identified: IdentifiedPart[] = []
  for (const part of parts) identified.push({ part, identity: await identifyFile(part.path) })
  rejectKind('failed-download', identified)
  const [index, ...moreIndexes] = identified.filter(({ identity }) => identity.kind === 'json')
  if (moreIndexes.length > 0) {
    const names = [index, ...moreIndexes].map((found) => quoteName(found?.part.name ?? '')).join(', ')
    throw invalidWeights(`has several JSON files: ${names}; send one index with its shards`)
  }
  if (index !== undefined) return await openIndexed(index, identified)
  rejectKind('unusable', identified)
  rejectKind('unknown', identified)
  const [only, ...others] = identified
  if (only === undefined) throw invalidWeights('is required: send a weights file')
  if (others.length > 0)
    throw invalidWeights(
      `has ${String(parts.length)} files without an index; send model.safetensors.index.json or model.json of tfjs with its shards, or one file`,
    )
  return await openSingle(only)
}

async function openSingle({ part, identity: { kind } }: IdentifiedPart): Promise<WeightsFile> {
  const open = OPENERS[kind]
  if (open === undefined) throw new TypeError(`no opener for ${kind}`)
  return await open(part.path)
}

async function openIndexed(
  index: IdentifiedPart,
  identified: readonly IdentifiedPart[],
): Promise<WeightsFile> {
  const content = jsonRecord(await readJsonFile(index.part, quoteName(index.part.name))) ?? {}
  const shards = identified.filter((found) => found !== index)
  const parts = shards.map(({ part }) => part)
  if ('weightsManifest' in content) return await openTfjs(index.part, parts)
  if (!('weight_map' in content)) throw invalidPart(identified, index.part, describeJson(content))
  rejectKind('unusable', identified)
  rejectKind('unknown', identified)
  const other = shards.find(({ identity }) => identity.kind !== 'safetensors')
  if (other !== undefined) throw invalidPart(identified, other.part, ONLY_SAFETENSORS)
  return await openShardedSafetensors(index.part, parts)
}

/** Throws the problem of the first part of a kind. */
function rejectKind(kind: FileIdentity['kind'], identified: readonly IdentifiedPart[]): void {
  for (const { part, identity } of identified) {
    if (identity.kind === kind && 'problem' in identity) throw invalidPart(identified, part, identity.problem)
  }
}

function describeJson(content: Readonly<Record<string, unknown>>): string {
  if ('modelTopology' in content)
    return 'is a model.json of tfjs without weightsManifest; save the model with its weights'
  if ('class_name' in content)
    return 'is the architecture of a Keras model without weights; send model.weights.h5, or what model.save wrote'
  if (['architectures', 'model_type', 'architecture', 'num_classes'].some((key) => key in content))
    return 'is a configuration; send it as the part "config", and the weights file as "weights"'
  const keys = Object.keys(content)
  const shown = keys
    .slice(0, SHOWN_KEYS)
    .map((key) => quoteName(key))
    .join(', ')
  return `is JSON with the keys ${shown}${keys.length > SHOWN_KEYS ? ' ...' : ''}: ${NEITHER}`
}

/** An error of one part, which is named if there are several. */
function invalidPart(
  identified: readonly IdentifiedPart[],
  part: WeightsPart,
  problem: string,
): ServiceError {
  return invalidWeights(
    identified.length === 1 ? problem : `has the part ${quoteName(part.name)}, which ${problem}`,
  )
}
