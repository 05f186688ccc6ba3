import { type FieldError, pointerTo, shownName, quoteName, invalidWeights } from '../common/errors.ts'
import { isRecord } from '../common/canonical-json.ts'
import { jsonProblem } from '../common/json-limits.ts'
import { readJson } from '../common/json-parts.ts'
import { dtypeNamed, toFloats } from './dtypes.ts'
import { openRegularFile, type RegularFile } from './regular-file.ts'
import type { TensorInfo, WeightsFile } from './weights-file.ts'

/** A tensor's position in a safetensors file; offsets count from the end of the header. */
interface TensorEntry extends TensorInfo {
  readonly start: number
  readonly end: number
}

export interface SafetensorsFile extends WeightsFile {
  readonly tensors: ReadonlyMap<string, TensorEntry>
}

/** Limit against forged lengths. The format allows 100 MB; the largest networks have about 100 kB. */
const MAX_HEADER_BYTES = 16_777_216
const MAX_TENSORS = 10_000
/** Of the length of the header. */
const LENGTH_BYTES = 8
const ELEMENT_BYTES = { F32: 4, I64: 8 } as const

/**
 * Opens a file in the safetensors format (https://huggingface.co/docs/safetensors): a little-endian uint64 header
 * length, a JSON header, then the tensors without gaps. Throws INVALID_WEIGHTS if the file is invalid. The caller
 * closes it.
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const file = await openRegularFile(path, notSafetensors)
  try {
    const dataStart = await findData(file)
    const { tensors, metadata } = await parseHeader(
      await file.read(LENGTH_BYTES, dataStart - LENGTH_BYTES),
      file.size - dataStart,
    )
    return {
      format: 'safetensors',
      tensors,
      metadata,
      read: async (name, offset = 0, count) => {
        const entry = tensors.get(name)
        if (entry === undefined) throw new RangeError(`no tensor ${name}`)
        const { dtype } = entry
        const width = dtypeNamed(dtype)?.bytes
        if (width === undefined)
          throw wrong(name, `is ${shownName(dtype)}, which is not supported; convert it to F32`)
        const start = entry.start + offset * width
        const end = count === undefined ? entry.end : start + count * width
        if (start < entry.start || start > end || end > entry.end)
          throw new RangeError(`a part outside of tensor ${name}`)
        return toFloats(dtype, await file.read(dataStart + start, end - start))
      },
      close: () => file.close(),
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

/** The position of the data, after the header. */
async function findData(file: RegularFile): Promise<number> {
  const { size } = file
  const headerBytes = size < LENGTH_BYTES ? 0 : Number((await file.read(0, LENGTH_BYTES)).readBigUInt64LE())
  if (headerBytes < 2 || headerBytes > Math.min(MAX_HEADER_BYTES, size - LENGTH_BYTES))
    throw notSafetensors(
      `its header length does not fit the file of ${String(size)} bytes; if it was downloaded, download it again`,
    )
  return LENGTH_BYTES + headerBytes
}

async function parseHeader(
  bytes: Buffer,
  dataBytes: number,
): Promise<Pick<SafetensorsFile, 'tensors' | 'metadata'>> {
  let header: unknown
  try {
    header = await readJson(bytes)
  } catch (error) {
    throw notSafetensors(`its header ${jsonProblem(error)}`)
  }
  if (!isRecord(header)) throw notSafetensors('its header is not an object')
  const { __metadata__: metadata = {} } = header
  if (!isTextRecord(metadata)) throw notSafetensors('__metadata__ must map text to text')
  const names = Object.keys(header).filter((name) => name !== '__metadata__')
  if (names.length > MAX_TENSORS)
    throw notSafetensors(`its header names more than ${String(MAX_TENSORS)} tensors`)
  const tensors = new Map(names.map((name) => [name, parseEntry(name, header[name])]))
  let end = 0
  for (const entry of [...tensors.values()].sort((a, b) => a.start - b.start || a.end - b.end)) {
    if (entry.start !== end) throw wrong(entry.name, 'leaves a gap or overlaps another tensor')
    end = entry.end
  }
  if (end !== dataBytes)
    throw notSafetensors(
      `it holds ${String(dataBytes)} bytes of data, but its header describes ${String(end)}; download or write it again`,
    )
  return { tensors, metadata }
}

function parseEntry(name: string, entry: unknown): TensorEntry {
  const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
  if (typeof dtype !== 'string' || !Array.isArray(shape) || !shape.every(isCount)) {
    throw wrong(name, 'lacks a dtype or a shape')
  }
  const [start, end, ...more] = Array.isArray(offsets) ? (offsets as unknown[]) : []
  if (!isCount(start) || !isCount(end) || start > end || more.length > 0)
    throw wrong(name, 'has no valid data_offsets')
  const width = dtypeNamed(dtype)?.bytes
  const size = shape.reduce((product, length) => product * length, width ?? 0)
  if (width !== undefined && end - start !== size) {
    throw wrong(name, `has ${String(end - start)} bytes, but its shape needs ${String(size)}`)
  }
  return { name, dtype, shape, start, end }
}

/** A tensor of a file, float32 by default. */
interface Described {
  readonly name: string
  readonly shape: readonly number[]
  readonly dtype?: keyof typeof ELEMENT_BYTES
}

/**
 * All differences between a file's tensors and the expected ones: missing, extra, other shape or dtype. Expected
 * tensors that are not float32 are never read, so the file may omit them or hold anything there.
 */
export function compareTensors(
  { tensors }: Pick<SafetensorsFile, 'tensors'>,
  expected: readonly Described[],
): FieldError[] {
  const names = new Set(expected.map(({ name }) => name))
  const wrongAt = (name: string, detail: string): FieldError => ({
    pointer: pointerTo('#/weights', shownName(name)),
    detail,
  })
  const errors = expected.flatMap(({ name, shape, dtype = 'F32' }) => {
    if (dtype !== 'F32') return []
    const entry = tensors.get(name)
    if (entry === undefined) return [wrongAt(name, `is missing; [${shape.join(', ')}] float32 is expected`)]
    if (entry.shape.join() !== shape.join())
      return [wrongAt(name, `must have shape [${shape.join(', ')}], got [${entry.shape.join(', ')}]`)]
    return entry.dtype === 'F32' ? [] : [wrongAt(name, `must be F32, got ${entry.dtype}`)]
  })
  const extra = [...tensors.keys()].filter((name) => !names.has(name))
  return [...errors, ...extra.map((name) => wrongAt(name, 'is not a parameter of this network'))]
}

/** The header of a file with these tensors in this order, padded with spaces to 8 bytes. */
export function safetensorsHeader(
  tensors: readonly Described[],
  metadata: Readonly<Record<string, string>>,
): Buffer {
  let offset = 0
  const entries = tensors.map(({ name, shape, dtype = 'F32' }) => {
    const start = offset
    offset += shape.reduce((product, length) => product * length, ELEMENT_BYTES[dtype])
    return [name, { dtype, shape, data_offsets: [start, offset] }] as const
  })
  const json = Buffer.from(JSON.stringify(Object.fromEntries([['__metadata__', metadata], ...entries])))
  const padded = Buffer.alloc(Math.ceil(json.length / 8) * 8, ' ')
  json.copy(padded)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded.length))
  return Buffer.concat([length, padded])
}

function isTextRecord(value: unknown): value is Record<string, string> {
  return isRecord(value) && Object.values(value).every((text) => typeof text === 'string')
}

function wrong(name: string, detail: string) {
  return notSafetensors(`tensor ${quoteName(name)} ${detail}`)
}

function notSafetensors(reason: string) {
  return invalidWeights(`is not a safetensors file: ${reason}`)
}
