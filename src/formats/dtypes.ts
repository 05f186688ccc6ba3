/** A dtype of the safetensors format: its width, precision and conversion to float32. */
interface Reader {
  readonly bytes: number
  /** Relative distance of neighbouring values; 0 for integers. */
  readonly epsilon: number
  readonly read: (view: DataView, offset: number) => number
}

const floating = (bytes: number, fraction: number, read: Reader['read']): Reader => ({
  bytes,
  epsilon: 2 ** -fraction,
  read,
})
const whole = (bytes: number, read: Reader['read']): Reader => ({ bytes, epsilon: 0, read })

const READERS: Readonly<Record<string, Reader>> = {
  F64: floating(8, 52, (view, offset) => view.getFloat64(offset, true)),
  F32: floating(4, 23, (view, offset) => view.getFloat32(offset, true)),
  F16: floating(2, 10, (view, offset) => decodeHalf(view.getUint16(offset, true))),
  BF16: floating(2, 7, (view, offset) => decodeBfloat(view, offset)),
  I64: whole(8, (view, offset) => Number(view.getBigInt64(offset, true))),
  U64: whole(8, (view, offset) => Number(view.getBigUint64(offset, true))),
  I32: whole(4, (view, offset) => view.getInt32(offset, true)),
  U32: whole(4, (view, offset) => view.getUint32(offset, true)),
  I16: whole(2, (view, offset) => view.getInt16(offset, true)),
  U16: whole(2, (view, offset) => view.getUint16(offset, true)),
  I8: whole(1, (view, offset) => view.getInt8(offset)),
  U8: whole(1, (view, offset) => view.getUint8(offset)),
  BOOL: whole(1, (view, offset) => view.getUint8(offset)),
}

/** Width and precision of a dtype; undefined if it is not supported. */
export function dtypeNamed(name: string): Pick<Reader, 'bytes' | 'epsilon'> | undefined {
  return Object.hasOwn(READERS, name) ? READERS[name] : undefined
}

/**
 * Converts little-endian values of a dtype to float32, with rounding if they have more digits. `bytes` must be
 * aligned.
 */
export function toFloats(dtype: string, bytes: Uint8Array): Float32Array {
  const reader = READERS[dtype]
  if (reader === undefined) throw new TypeError(`no reader for ${dtype}`)
  if (dtype === 'F32') return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const values = new Float32Array(bytes.length / reader.bytes)
  for (let index = 0; index < values.length; index++) values[index] = reader.read(view, index * reader.bytes)
  return values
}

/** IEEE 754 binary16: one sign bit, five exponent bits, ten fraction bits. */
function decodeHalf(bits: number): number {
  const sign = bits >>> 15 ? -1 : 1
  const exponent = (bits >>> 10) & 31
  const fraction = bits & 1023
  if (exponent === 31) return fraction ? Number.NaN : sign * Infinity
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15))
}

/** bfloat16 is the upper half of a float32. */
function decodeBfloat(view: DataView, offset: number): number {
  const bits = view.getUint16(offset, true)
  const sign = bits >>> 15 ? -1 : 1
  const exponent = (bits >>> 7) & 255
  const fraction = bits & 127
  if (exponent === 255) return fraction ? Number.NaN : sign * Infinity
  return sign * (exponent === 0 ? fraction * 2 ** -133 : (1 + fraction / 128) * 2 ** (exponent - 127))
}
