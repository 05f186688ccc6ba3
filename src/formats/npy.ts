import { fieldError } from '../errors.ts'

export interface NpyArray {
  readonly shape: readonly number[]
  readonly values: Uint8Array | Float32Array
}

/** numpy's own limit is a sixth of it. */
const MAX_HEADER_BYTES = 65_536
const MAGIC = Buffer.from('\x93NUMPY', 'latin1')

/** Reads numpy's format (numpy/lib/format.py), C-contiguous uint8 or little-endian float32. */
export function readNpy(bytes: Buffer): NpyArray {
  if (bytes.length < 10 || !bytes.subarray(0, 6).equals(MAGIC))
    throw invalid('is not an npy file: its magic bytes are missing')
  const long = (bytes[6] ?? 1) >= 2
  const start = long ? 12 : 10
  if (bytes.length < start) throw invalid('is not a whole npy file: it ends before its header')
  const headerBytes = long ? bytes.readUInt32LE(8) : bytes.readUInt16LE(8)
  if (headerBytes > MAX_HEADER_BYTES)
    throw invalid(
      `has a header of ${String(headerBytes)} bytes, more than the ${String(MAX_HEADER_BYTES)} of any array`,
    )
  const header = bytes.subarray(start, start + headerBytes).toString('latin1')
  const dtype = /'descr':\s*'([^']*)'/.exec(header)?.[1]
  const shapeText = /'shape':\s*\(([\d,\s]*)\)/.exec(header)?.[1]
  if (dtype === undefined || shapeText === undefined)
    throw invalid('is not an npy file: its header lacks descr or shape')
  if (!/'fortran_order':\s*False/.test(header))
    throw invalid('must be C-contiguous; save numpy.ascontiguousarray(a)')
  const shape = shapeText
    .split(',')
    .filter((part) => part.trim() !== '')
    .map(Number)
  const size = shape.reduce((product, length) => product * length, 1)
  const data = bytes.subarray(start + headerBytes)
  const width = { '|u1': 1, '<f4': 4 }[dtype]
  if (width === undefined)
    throw invalid(
      `must be uint8 or little-endian float32, got ${dtype}; use a.astype("uint8") or a.astype("<f4")`,
    )
  if (data.length !== size * width) {
    throw invalid(
      `holds ${String(data.length)} bytes, its shape [${shape.join(', ')}] needs ${String(size * width)}`,
    )
  }
  if (width === 1) return { shape, values: data }
  // Copied, so that the floats start aligned wherever the header ended.
  return { shape, values: new Float32Array(Uint8Array.from(data).buffer) }
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
