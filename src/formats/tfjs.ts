import { quoteName, invalidWeights } from '../common/errors.ts'
import { toFloats } from './dtypes.ts'
import { readJsonFile } from './json-file.ts'
import { countValues } from './shape.ts'
import { openRegularFile, type RegularFile } from './regular-file.ts'
import { matchShards } from './shards.ts'
import { readManifest, type StoredWeight, type WeightsGroup } from './tfjs-manifest.ts'
import type { WeightsFile, WeightsPart } from './weights-file.ts'

const WHAT = 'model.json'

/** A weight and the bytes of its group. */
interface Source {
  readonly weight: StoredWeight
  readonly group: Concatenation
}

/**
 * Opens a model of TensorFlow.js: `model.json` and the shards that it names, in any order. A tensor may lie in several
 * shards. Quantized weights are restored as `decodeWeight` of tfjs-core/src/io/io_utils.ts does. Weights of the
 * optimizer are left out. Throws INVALID_WEIGHTS. The caller closes it.
 */
export async function openTfjs(model: WeightsPart, shards: readonly WeightsPart[]): Promise<WeightsFile> {
  const groups = readManifest(await readJsonFile(model, WHAT))
  const parts = matchShards(new Set(groups.flatMap(({ paths }) => paths)), shards, WHAT)
  const files = new Map<string, RegularFile>()
  const close = async () => {
    await Promise.all([...files.values()].map((file) => file.close()))
  }
  try {
    for (const [name, { path }] of parts) {
      const invalid = (reason: string) =>
        invalidWeights(`has the shard ${quoteName(name)}, which cannot be read: ${reason}`)
      files.set(name, await openRegularFile(path, invalid))
    }
    const sources = new Map(groups.flatMap((group) => listSources(group, files)))
    return {
      format: 'tfjs',
      tensors: new Map(
        [...sources].map(([name, { weight }]) => [name, { name, dtype: weight.dtype, shape: weight.shape }]),
      ),
      metadata: {},
      read: async (name, offset = 0, count) => {
        const source = sources.get(name)
        if (source === undefined) throw new RangeError(`no tensor ${name}`)
        return await readWeight(source, offset, count)
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** The weights of a group without those of an optimizer. */
function listSources(
  { paths, weights, bytes }: WeightsGroup,
  files: ReadonlyMap<string, RegularFile>,
): [string, Source][] {
  const group = new Concatenation(
    paths.flatMap((path) => {
      const file = files.get(path)
      return file === undefined ? [] : [file]
    }),
  )
  if (group.size !== bytes) {
    const [first = ''] = paths
    throw invalidWeights(
      `has ${String(group.size)} bytes in the shards from ${quoteName(first)} on, but ${WHAT} describes ${String(bytes)}; download or write them again`,
    )
  }
  return weights.filter(({ isOptimizer }) => !isOptimizer).map((weight) => [weight.name, { weight, group }])
}

async function readWeight(
  { weight, group }: Source,
  offset: number,
  count: number | undefined,
): Promise<Float32Array> {
  const { shape, bytes, stored, quantization } = weight
  const size = countValues(shape)
  const width = size === 0 ? 0 : bytes / size
  const length = count ?? size - offset
  if (offset < 0 || length < 0 || offset + length > size)
    throw new RangeError(`a part outside of tensor ${weight.name}`)
  const values = toFloats(stored, await group.read(weight.start + offset * width, length * width))
  if (quantization === undefined) return values
  const { scale, min } = quantization
  const isInteger = weight.dtype === 'I32'
  for (let index = 0; index < values.length; index += 1) {
    const value = (values[index] ?? 0) * scale + min
    values[index] = isInteger ? Math.round(value) | 0 : value
  }
  return values
}

/** Files as if they were one. */
class Concatenation {
  readonly size: number
  /** With the position of each file. */
  readonly #files: readonly { readonly file: RegularFile; readonly start: number }[]

  constructor(files: readonly RegularFile[]) {
    let size = 0
    this.#files = files.map((file) => {
      const start = size
      size += file.size
      return { file, start }
    })
    this.size = size
  }

  /** Reads exactly `length` bytes into a separate buffer. */
  async read(position: number, length: number): Promise<Buffer> {
    const bytes = Buffer.from(new ArrayBuffer(length))
    for (const { file, start } of this.#files) {
      const from = Math.max(position, start)
      const to = Math.min(position + length, start + file.size)
      if (from >= to) continue
      const part = await file.read(from - start, to - from)
      if (part.length === length) return part
      part.copy(bytes, from - position)
    }
    return bytes
  }
}
