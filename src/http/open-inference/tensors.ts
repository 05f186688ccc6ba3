import { fieldError, shownJson } from '../../common/errors.ts'
import { sizeOf } from '../../initializers/fans.ts'
import { decodeBase64 } from '../shared/base64.ts'
import type { InputTensor } from './request.ts'

const LENGTH_BYTES = 4

/** Reads a UINT8 tensor. The caller has checked its shape against the model's. */
export function readUint8(tensor: InputTensor): Uint8Array {
  const size = sizeOf(tensor.shape)
  if ('bytes' in tensor.data) return assertSize(tensor, tensor.data.bytes, size)
  const values = new Uint8Array(size)
  walkElements(tensor, tensor.data.json, (value, index) => {
    if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > 255)
      return 'an integer from 0 to 255'
    values[index] = value as number
    return undefined
  })
  return values
}

/** Reads a little-endian FP32 tensor. Bytes are copied, because their offset in the body is rarely aligned. */
export function readFloats(tensor: InputTensor): Float32Array {
  const size = sizeOf(tensor.shape)
  if ('bytes' in tensor.data)
    return new Float32Array(Uint8Array.from(assertSize(tensor, tensor.data.bytes, 4 * size)).buffer)
  const values = new Float32Array(size)
  walkElements(tensor, tensor.data.json, (value, index) => {
    if (typeof value !== 'number') return 'a number'
    values[index] = value
    return undefined
  })
  return values
}

/** Reads a BYTES tensor: base64 in JSON; in binary data each element follows its length (uint32, little-endian). */
export function readElements(tensor: InputTensor): Uint8Array[] {
  const { data, name } = tensor
  const count = sizeOf(tensor.shape)
  const elements: Uint8Array[] = []
  if ('json' in data) {
    walkElements(tensor, data.json, (value) => {
      const bytes = typeof value === 'string' ? decodeBase64(value) : undefined
      if (bytes === undefined) return 'a string of base64'
      elements.push(bytes)
      return undefined
    })
    return elements
  }
  const { bytes } = data
  const createError = (problem: string) =>
    fieldError(
      tensor.pointer,
      `input '${name}' ${problem}; send ${String(count)} elements, each after its length as a little-endian uint32`,
    )
  for (let offset = 0; offset < bytes.length;) {
    if (elements.length === count) throw createError('has more elements than its shape')
    if (offset + LENGTH_BYTES > bytes.length) throw createError('ends within a length')
    const length = bytes.readUInt32LE(offset)
    offset += LENGTH_BYTES
    if (offset + length > bytes.length) throw createError('ends within an element')
    elements.push(bytes.subarray(offset, offset + length))
    offset += length
  }
  if (elements.length < count) throw createError('has fewer elements than its shape')
  return elements
}

function assertSize({ name, pointer }: InputTensor, bytes: Buffer, size: number): Buffer {
  if (bytes.length === size) return bytes
  throw fieldError(
    `${pointer}/parameters/binary_data_size`,
    `of input '${name}' must be ${String(size)}, the size of its shape and datatype, got ${String(bytes.length)}`,
  )
}

/** Walks flat or nested data in row-major order. `put` returns the expected type if it rejects an element. */
function walkElements(
  { name, pointer, shape }: InputTensor,
  json: unknown,
  put: (value: unknown, index: number) => string | undefined,
): void {
  const size = sizeOf(shape)
  const data = `${pointer}/data`
  const createError = (problem: string) => fieldError(data, `of input '${name}' ${problem}`)
  let index = 0
  const walk = (value: unknown, depth: number): void => {
    const length = shape[depth]
    if (length === undefined) {
      const expected = put(value, index)
      if (expected !== undefined)
        throw createError(`must hold ${expected} at ${String(index)}, got ${describe(value)}`)
      index += 1
      return
    }
    if (!Array.isArray(value) || value.length !== length)
      throw createError(
        `must be ${String(size)} values, flat or nested as [${shape.join(', ')}]; got ${Array.isArray(value) ? `an array of ${String(value.length)}` : describe(value)} in dimension ${String(depth)}`,
      )
    for (const one of value as unknown[]) walk(one, depth + 1)
  }
  if (Array.isArray(json) && json.length === size && !Array.isArray(json[0]))
    for (const value of json as unknown[]) walk(value, shape.length)
  else walk(json, 0)
}

function describe(value: unknown): string {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  return (shownJson(value) ?? 'nothing').slice(0, 40)
}
