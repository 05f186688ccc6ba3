import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { endianness } from 'node:os'
import { fieldError, type FieldError, pointerTo, shownName } from '../common/errors.ts'
import { jsonProblem } from '../common/json-limits.ts'
import { readJson } from '../common/json-parts.ts'
import { dtypeNamed, toFloats } from './dtypes.ts'

/** A tensor's position in a safetensors file; offsets count from the end of the header. */
interface TensorEntry {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
  readonly start: number
  readonly end: number
}

export interface SafetensorsFile {
  readonly tensors: ReadonlyMap<string, TensorEntry>
  readonly metadata: Readonly<Record<string, string>>
  /**
   * Reads `count` values of a tensor from `offset` as float32; by default all. The dtype must be a supported one.
   */
  read(name: string, offset?: number, count?: number): Promise<Float32Array>
  close(): Promise<void>
}

/** Limit against forged lengths. The format allows 100 MB; the largest networks have about 100 kB. */
const MAX_HEADER_BYTES = 16_777_216
const MAX_TENSORS = 10_000
const FLOAT32_BYTES = 4
const ELEMENT_BYTES = { F32: FLOAT32_BYTES, I64: 8 } as const

if (endianness() !== 'LE') throw new Error('resinit requires a little-endian machine')

/**
 * Opens a file in the safetensors format (https://huggingface.co/docs/safetensors): a little-endian uint64 header
 * length, a JSON header, then the tensors without gaps. Throws INVALID_WEIGHTS if the file is invalid. The caller
 * closes it.
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  // Without O_NONBLOCK, opening a FIFO blocks until there is a writer.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const found = await file.stat()
    if (!found.isFile()) throw notSafetensors('it is not a regular file')
    const { size } = found
    const headerBytes = size < 8 ? 0 : Number((await readBytes(file, 0, 8)).readBigUInt64LE())
    if (headerBytes < 2 || headerBytes > Math.min(MAX_HEADER_BYTES, size - 8)) {
      throw notSafetensors('its header length does not fit the file')
    }
    const dataStart = 8 + headerBytes
    const header = await parseHeader(await readBytes(file, 8, headerBytes), size - dataStart)
    return {
      ...header,
      read: async (name, offset = 0, count) => {
        const entry = header.tensors.get(name)
        if (entry === undefined) throw new RangeError(`no tensor ${name}`)
        const width = dtypeNamed(entry.dtype)?.bytes ?? FLOAT32_BYTES
        const start = entry.start + offset * width
        const length = count === undefined ? entry.end - start : count * width
        return toFloats(entry.dtype, await readBytes(file, dataStart + start, length))
      },
      close: () => file.close(),
    }
  } catch (error) {
    await file.close()
    throw error
  }
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
      `it holds ${String(dataBytes)} bytes of data, but its header describes ${String(end)}`,
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

async function readBytes(file: FileHandle, position: number, length: number): Promise<Buffer> {
  // A separate buffer aligns float32 views.
  const buffer = Buffer.from(new ArrayBuffer(length))
  let done = 0
  while (done < length) {
    const { bytesRead } = await file.read(buffer, done, length - done, position + done)
    if (bytesRead === 0) throw notSafetensors('the file ends too early')
    done += bytesRead
  }
  return buffer
}

function isTextRecord(value: unknown): value is Record<string, string> {
  return isRecord(value) && Object.values(value).every((text) => typeof text === 'string')
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function wrong(name: string, detail: string) {
  return notSafetensors(`tensor ${JSON.stringify(shownName(name))} ${detail}`)
}

function notSafetensors(reason: string) {
  return fieldError('#/weights', `is not a safetensors file: ${reason}`, 'INVALID_WEIGHTS')
}
