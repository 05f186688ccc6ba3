import { countValues } from './shape.ts'
import { fieldError } from '../common/errors.ts'
import { parseHeader, type Literal } from './npy-header.ts'

export interface NpyArray {
  readonly shape: readonly number[]
  readonly values: Uint8Array | Float32Array
}

/** numpy's own limit is 10,000. */
const MAX_HEADER_BYTES = 65_536
const MAGIC = Buffer.from('\x93NUMPY', 'latin1')

/** Bytes of the header's length, and its encoding, by the major version of the format; the minor version is 0. */
const VERSIONS: Readonly<Record<number, { readonly lengthBytes: 2 | 4; readonly encoding: BufferEncoding }>> =
  {
    1: { lengthBytes: 2, encoding: 'latin1' },
    2: { lengthBytes: 4, encoding: 'latin1' },
    3: { lengthBytes: 4, encoding: 'utf8' },
  }
/** numpy's own limit. */
const MAX_RANK = 64
const SHOWN_DTYPE = 40

/** Reads numpy's format (numpy/lib/format.py): C-contiguous arrays of uint8 or little-endian float32. */
export function readNpy(bytes: Buffer): NpyArray {
  if (bytes.length < 10 || !bytes.subarray(0, 6).equals(MAGIC))
    throw invalid('is not an npy file: its magic bytes are missing')
  const [major = 0, minor = 0] = bytes.subarray(6, 8)
  const version = minor === 0 ? VERSIONS[major] : undefined
  if (version === undefined)
    throw invalid(
      `has version ${String(major)}.${String(minor)} of the npy format; versions 1.0, 2.0 and 3.0 are supported`,
    )
  const { lengthBytes, encoding } = version
  const start = 8 + lengthBytes
  if (bytes.length < start) throw invalid('is not a complete npy file: it ends before its header')
  const headerBytes = bytes.readUIntLE(8, lengthBytes)
  if (headerBytes > MAX_HEADER_BYTES)
    throw invalid(
      `has a header of ${String(headerBytes)} bytes, more than the limit of ${String(MAX_HEADER_BYTES)}`,
    )
  const header = parseHeader(bytes.subarray(start, start + headerBytes).toString(encoding))
  const descr = header?.get('descr')
  const shape = header?.get('shape')
  if (descr === undefined || shape === undefined)
    throw invalid('is not an npy file: its header lacks descr or shape')
  if (header?.get('fortran_order') !== false)
    throw invalid('must be C-contiguous; save numpy.ascontiguousarray(a)')
  if (!isShape(shape)) throw invalid(`must have a shape of at most ${String(MAX_RANK)} non-negative integers`)
  const width = readWidth(descr)
  if (width === undefined)
    throw invalid(
      `must be uint8 or little-endian float32, got ${describeDtype(descr)}; use a.astype("uint8") or a.astype("<f4")`,
    )
  const size = countValues(shape)
  const data = bytes.subarray(start + headerBytes)
  if (data.length !== size * width) {
    throw invalid(
      `holds ${String(data.length)} bytes, its shape [${shape.join(', ')}] needs ${String(size * width)}`,
    )
  }
  if (width === 1) return { shape, values: data }
  // The copy aligns the floats, whatever the length of the header.
  return { shape, values: new Float32Array(Uint8Array.from(data).buffer) }
}

function isShape(value: Literal): value is number[] {
  return (
    Array.isArray(value) &&
    value.length <= MAX_RANK &&
    value.every((length) => Number.isSafeInteger(length) && (length as number) >= 0)
  )
}

/**
 * Bytes of a value; undefined for an unsupported dtype. One byte has no byte order, and "=" means native, which is
 * little-endian.
 */
function readWidth(descr: Literal): number | undefined {
  if (typeof descr !== 'string') return undefined
  if (/^[|<>=]?u1$/.test(descr)) return 1
  return /^[<=]?f4$/.test(descr) ? 4 : undefined
}

function describeDtype(descr: Literal): string {
  return typeof descr === 'string' ? descr.slice(0, SHOWN_DTYPE) : 'a structured dtype'
}

/** Writes float32 values in numpy's format, version 1.0. */
export function npyHeader(shape: readonly number[]): Buffer {
  const tuple = shape.length === 1 ? `${String(shape[0])},` : shape.join(', ')
  const dictionary = `{'descr': '<f4', 'fortran_order': False, 'shape': (${tuple}), }`
  const padded = dictionary.padEnd(Math.ceil((10 + dictionary.length + 1) / 64) * 64 - 11) + '\n'
  const header = Buffer.alloc(10 + padded.length)
  MAGIC.copy(header)
  header[6] = 1
  header.writeUInt16LE(padded.length, 8)
  header.write(padded, 10, 'latin1')
  return header
}

function invalid(detail: string) {
  return fieldError('#', detail, 'INVALID_IMAGE')
}
