/** A dtype of the safetensors format: its width, precision and conversion to float32. */
interface Reader {
  readonly bytes: number
  /** Relative distance of neighbouring values; 0 for integers. */
  readonly epsilon: number
  /** Converts `count` values that begin at an aligned offset of the buffer. */
  readonly convert: (buffer: ArrayBufferLike, offset: number, count: number) => Float32Array
}

const floating = (bytes: number, fraction: number, convert: Reader['convert']): Reader => ({
  bytes,
  epsilon: 2 ** -fraction,
  convert,
})
const whole = (bytes: number, convert: Reader['convert']): Reader => ({ bytes, epsilon: 0, convert })

/** The float32 bits of each binary16 value. NaN payloads are kept. */
const HALVES = Uint32Array.from({ length: 65_536 }, (_, bits) => widenHalf(bits))

const READERS: Readonly<Record<string, Reader>> = {
  F64: floating(8, 52, (...range) => new Float32Array(new Float64Array(...range))),
  F32: floating(4, 23, (...range) => new Float32Array(...range)),
  F16: floating(2, 10, (...range) => widenHalves(new Uint16Array(...range))),
  BF16: floating(2, 7, (...range) => widenBfloats(new Uint16Array(...range))),
  I64: whole(8, (...range) => fromBigInts(new BigInt64Array(...range))),
  U64: whole(8, (...range) => fromBigInts(new BigUint64Array(...range))),
  I32: whole(4, (...range) => new Float32Array(new Int32Array(...range))),
  U32: whole(4, (...range) => new Float32Array(new Uint32Array(...range))),
  I16: whole(2, (...range) => new Float32Array(new Int16Array(...range))),
  U16: whole(2, (...range) => new Float32Array(new Uint16Array(...range))),
  I8: whole(1, (...range) => new Float32Array(new Int8Array(...range))),
  U8: whole(1, (...range) => new Float32Array(new Uint8Array(...range))),
  BOOL: whole(1, (...range) => new Float32Array(new Uint8Array(...range))),
}

/** Width and precision of a dtype; undefined if it is not supported. */
export function dtypeNamed(name: string): Pick<Reader, 'bytes' | 'epsilon'> | undefined {
  return Object.hasOwn(READERS, name) ? READERS[name] : undefined
}

/**
 * Converts little-endian values of a dtype to float32, with rounding if they have more digits. `bytes` must be
 * aligned. The result of F32 shares their memory.
 */
export function toFloats(dtype: string, bytes: Uint8Array): Float32Array {
  const reader = READERS[dtype]
  if (reader === undefined) throw new TypeError(`no reader for ${dtype}`)
  return reader.convert(bytes.buffer, bytes.byteOffset, Math.floor(bytes.length / reader.bytes))
}

function widenHalves(values: Uint16Array): Float32Array {
  const bits = new Uint32Array(values.length)
  for (let index = 0; index < values.length; index += 1) bits[index] = HALVES[values[index] ?? 0] ?? 0
  return new Float32Array(bits.buffer)
}

/** bfloat16 is the upper half of a float32. */
function widenBfloats(values: Uint16Array): Float32Array {
  const bits = new Uint32Array(values.length)
  for (let index = 0; index < values.length; index += 1) bits[index] = (values[index] ?? 0) << 16
  return new Float32Array(bits.buffer)
}

function fromBigInts(values: BigInt64Array | BigUint64Array): Float32Array {
  const floats = new Float32Array(values.length)
  for (let index = 0; index < values.length; index += 1) floats[index] = Number(values[index])
  return floats
}

/** The bits of a binary16 value (IEEE 754: one sign bit, five exponent bits, ten fraction bits) as float32. */
function widenHalf(bits: number): number {
  const sign = (bits & 0x8000) << 16
  const exponent = (bits >>> 10) & 31
  const fraction = bits & 1023
  if (exponent === 31) return sign | 0x7f800000 | (fraction << 13)
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (fraction << 13)
  if (fraction === 0) return sign
  // A subnormal half is a normal float32: the leading one of the fraction becomes implicit.
  const shift = Math.clz32(fraction) - 21
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 1023) << 13)
}
