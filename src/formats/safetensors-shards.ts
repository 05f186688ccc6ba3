import { ServiceError, quoteName, invalidWeights } from '../common/errors.ts'
import { jsonRecord, readJsonFile } from './json-file.ts'
import { openSafetensors, type SafetensorsFile } from './safetensors.ts'
import { matchShards } from './shards.ts'
import type { TensorInfo, WeightsFile, WeightsPart } from './weights-file.ts'

const MAX_TENSORS = 10_000
const WHAT = 'the index'

/**
 * Opens a sharded set of safetensors files, as `save_pretrained` of transformers writes it: the index
 * `model.safetensors.index.json` with a `weight_map` from tensors to file names, and these files in any order. The
 * `total_size` of the index is not used, because each shard describes its own size. `metadata` is that of the first
 * shard. Throws INVALID_WEIGHTS if the shards differ from the index. The caller closes it.
 */
export async function openShardedSafetensors(
  index: WeightsPart,
  shards: readonly WeightsPart[],
): Promise<WeightsFile> {
  const shardsByTensor = readWeightMap(await readJsonFile(index, WHAT))
  const parts = matchShards(new Set(shardsByTensor.values()), shards, WHAT)
  const files = new Map<string, SafetensorsFile>()
  const close = async () => {
    await Promise.all([...files.values()].map((file) => file.close()))
  }
  try {
    for (const [shard, part] of parts) {
      const file = await openShard(shard, part)
      files.set(shard, file)
      compareShard(shard, file, shardsByTensor)
    }
    const sources = findSources(shardsByTensor, files)
    return {
      format: 'safetensors',
      tensors: new Map([...sources].map(([name, { info }]) => [name, info])),
      metadata: [...files.values()][0]?.metadata ?? {},
      read: async (name, offset, count) => {
        const source = sources.get(name)
        if (source === undefined) throw new RangeError(`no tensor ${name}`)
        return await source.file.read(name, offset, count)
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** The file name of each tensor's shard. */
function readWeightMap(index: unknown): ReadonlyMap<string, string> {
  const entries = Object.entries(jsonRecord(jsonRecord(index)?.['weight_map']) ?? {})
  if (entries.length === 0) throw invalidWeights('has an index without a weight_map from tensors to files')
  if (entries.length > MAX_TENSORS)
    throw invalidWeights(`has an index of more than ${String(MAX_TENSORS)} tensors`)
  return new Map(
    entries.map(([name, shard]) => {
      if (typeof shard !== 'string')
        throw invalidWeights(`has an index in which the tensor ${quoteName(name)} has no file name`)
      return [name, shard]
    }),
  )
}

async function openShard(shard: string, { path }: WeightsPart): Promise<SafetensorsFile> {
  try {
    return await openSafetensors(path)
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error
    throw invalidWeights(
      `has the shard ${quoteName(shard)}, which ${error.errors[0]?.detail ?? error.message}`,
    )
  }
}

/** Compares the tensors of a shard with the index. */
function compareShard(
  shard: string,
  { tensors }: SafetensorsFile,
  shardsByTensor: ReadonlyMap<string, string>,
): void {
  for (const name of tensors.keys()) {
    const listed = shardsByTensor.get(name)
    if (listed === undefined)
      throw invalidWeights(
        `has the tensor ${quoteName(name)} in ${quoteName(shard)}, which the index does not list`,
      )
    if (listed !== shard)
      throw invalidWeights(
        `has the tensor ${quoteName(name)} in ${quoteName(shard)}, but the index lists it in ${quoteName(listed)}`,
      )
  }
}

interface Source {
  readonly info: TensorInfo
  readonly file: SafetensorsFile
}

function findSources(
  shardsByTensor: ReadonlyMap<string, string>,
  files: ReadonlyMap<string, SafetensorsFile>,
): ReadonlyMap<string, Source> {
  return new Map(
    [...shardsByTensor].map(([name, shard]) => {
      const file = files.get(shard)
      const info = file?.tensors.get(name)
      if (file === undefined || info === undefined)
        throw invalidWeights(
          `lacks the tensor ${quoteName(name)} in ${quoteName(shard)}, where the index lists it`,
        )
      return [name, { info, file }]
    }),
  )
}
