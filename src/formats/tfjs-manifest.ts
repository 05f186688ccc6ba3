import { quoteName, invalidWeights } from '../common/errors.ts'
import { dtypeNamed } from './dtypes.ts'
import { jsonRecord } from './json-file.ts'
import type { TensorInfo } from './weights-file.ts'

/** A value is `scale * v + min` of the stored integer v, rounded for int32. */
interface Quantization {
  readonly scale: number
  readonly min: number
}

/** A weight in the concatenated shards of its group. */
export interface StoredWeight extends TensorInfo {
  /** In bytes, from the start of the group. */
  readonly start: number
  readonly bytes: number
  /** The dtype of the stored values, a name of `dtypes.ts`. */
  readonly stored: string
  readonly quantization: Quantization | undefined
  readonly isOptimizer: boolean
}

/** Shards in their order, and what their concatenation holds. */
export interface WeightsGroup {
  readonly paths: readonly string[]
  readonly weights: readonly StoredWeight[]
  readonly bytes: number
}

const MAX_WEIGHTS = 10_000
const DTYPES: Readonly<Record<string, string>> = { float32: 'F32', int32: 'I32', bool: 'BOOL' }
const QUANTIZED: Readonly<Record<string, string>> = { uint8: 'U8', uint16: 'U16', float16: 'F16' }

/**
 * Reads the `weightsManifest` of a tfjs `model.json` (`WeightsManifestConfig` in tfjs-core/src/io/types.ts). Throws
 * INVALID_WEIGHTS.
 */
export function readManifest(model: unknown): WeightsGroup[] {
  const manifest = jsonRecord(model)?.['weightsManifest']
  if (!Array.isArray(manifest)) throw invalidManifest('it is not a list of groups')
  const groups = manifest.map(readGroup)
  const weights = groups.flatMap((group) => group.weights)
  if (weights.length === 0) throw invalidManifest('it lists no weights')
  if (weights.length > MAX_WEIGHTS) throw invalidManifest(`it lists more than ${String(MAX_WEIGHTS)} weights`)
  requireUnique(
    groups.flatMap(({ paths }) => paths),
    'shard',
  )
  requireUnique(
    weights.map(({ name }) => name),
    'weight',
  )
  return groups
}

function readGroup(group: unknown): WeightsGroup {
  const { paths, weights } = jsonRecord(group) ?? {}
  const isText = (path: unknown): path is string => typeof path === 'string'
  if (!Array.isArray(paths) || !paths.every(isText) || !Array.isArray(weights))
    throw invalidManifest('a group lacks the list of its paths or of its weights')
  let bytes = 0
  const stored = weights.map((entry) => {
    const weight = readWeight(entry, bytes)
    bytes += weight.bytes
    return weight
  })
  return { paths, weights: stored, bytes }
}

function readWeight(entry: unknown, start: number): StoredWeight {
  const { name, shape, dtype: dtypeText, quantization: quantized, group } = jsonRecord(entry) ?? {}
  if (typeof name !== 'string') throw invalidManifest('a weight has no name')
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
  if (!Array.isArray(shape) || !shape.every(isCount)) throw invalidWeight(name, 'has no valid shape')
  const dtype = lookUp(DTYPES, dtypeText)
  if (dtype === undefined)
    throw invalidWeight(name, `has the dtype ${shownDtype(dtypeText)}; float32, int32 or bool is expected`)
  const { stored, quantization } =
    quantized === undefined
      ? { stored: dtype, quantization: undefined }
      : readQuantization(name, dtype, quantized)
  const bytes = shape.reduce<number>((product, length) => product * length, dtypeNamed(stored)?.bytes ?? 0)
  if (!Number.isSafeInteger(start + bytes)) throw invalidWeight(name, 'has a shape that is too large')
  const isHalf = stored === 'F16'
  return {
    ...{ name, shape, dtype: isHalf ? stored : dtype },
    ...{ start, bytes, stored, quantization, isOptimizer: group === 'optimizer' },
  }
}

function readQuantization(
  name: string,
  dtype: string,
  given: unknown,
): Pick<StoredWeight, 'stored' | 'quantization'> {
  const { dtype: storedText, scale, min } = jsonRecord(given) ?? {}
  const stored = lookUp(QUANTIZED, storedText)
  if (stored === undefined)
    throw invalidWeight(
      name,
      `has the quantization ${shownDtype(storedText)}; uint8, uint16 or float16 is expected`,
    )
  if (stored === 'F16') {
    if (dtype !== 'F32') throw invalidWeight(name, 'is quantized to float16, but its dtype is not float32')
    return { stored, quantization: undefined }
  }
  if (dtype === 'BOOL') throw invalidWeight(name, 'is quantized, but its dtype is bool')
  const isFinite = (value: unknown): value is number => Number.isFinite(value)
  if (!isFinite(scale) || !isFinite(min)) throw invalidWeight(name, 'is quantized, but has no scale and min')
  return { stored, quantization: { scale, min } }
}

function lookUp(table: Readonly<Record<string, string>>, name: unknown): string | undefined {
  return typeof name === 'string' && Object.hasOwn(table, name) ? table[name] : undefined
}

function requireUnique(names: readonly string[], what: string): void {
  const seen = new Set<string>()
  for (const name of names) {
    if (seen.has(name)) throw invalidManifest(`it lists the ${what} ${quoteName(name)} twice`)
    seen.add(name)
  }
}

function shownDtype(dtype: unknown): string {
  return typeof dtype === 'string' ? quoteName(dtype) : 'missing'
}

function invalidWeight(name: string, detail: string) {
  return invalidManifest(`the weight ${quoteName(name)} ${detail}`)
}

function invalidManifest(reason: string) {
  return invalidWeights(`has an invalid weightsManifest: ${reason}`)
}
