import { fieldError, shownJson } from '../../common/errors.ts'
import { sizeOf } from '../../initializers/fans.ts'
import { fromBase64 } from '../shared/base64.ts'
import type { InputTensor } from './request.ts'

const LENGTH_BYTES = 4

/** The bytes a request has a fixed length for. The shape was checked against the model's, so its product is one. */
export function uint8Values(tensor: InputTensor): Uint8Array {
  const size = sizeOf(tensor.shape)
  if ('bytes' in tensor.data) return exactly(tensor, tensor.data.bytes, size)
  const values = new Uint8Array(size)
  fill(tensor, tensor.data.json, (value, index) => {
    if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > 255)
      return 'an integer from 0 to 255'
    values[index] = value as number
    return undefined
  })
  return values
}

/** Little-endian float32. Bytes are copied: where they lie in a body is seldom a multiple of four. */
export function floatValues(tensor: InputTensor): Float32Array {
  const size = sizeOf(tensor.shape)
  if ('bytes' in tensor.data)
    return new Float32Array(Uint8Array.from(exactly(tensor, tensor.data.bytes, 4 * size)).buffer)
  const values = new Float32Array(size)
  fill(tensor, tensor.data.json, (value, index) => {
    if (typeof value !== 'number') return 'a number'
    values[index] = value
    return undefined
  })
  return values
}

/** Elements of BYTES: in JSON they are base64, in a body each has its length before it (uint32, little-endian). */
export function byteElements(tensor: InputTensor): Uint8Array[] {
  const { data, name } = tensor
  const count = sizeOf(tensor.shape)
  const elements: Uint8Array[] = []
  if ('json' in data) {
    fill(tensor, data.json, (value) => {
      const bytes = typeof value === 'string' ? fromBase64(value) : undefined
      if (bytes === undefined) return 'a string of base64'
      elements.push(bytes)
      return undefined
    })
    return elements
  }
  const { bytes } = data
  const broken = (what: string) =>
    fieldError(
      tensor.pointer,
      `input '${name}' ${what}; send ${String(count)} elements, each behind its length as a little-endian uint32`,
    )
  for (let offset = 0; offset < bytes.length;) {
    if (elements.length === count) throw broken('has more elements than its shape says')
    if (offset + LENGTH_BYTES > bytes.length) throw broken('ends within a length')
    const length = bytes.readUInt32LE(offset)
    offset += LENGTH_BYTES
    if (offset + length > bytes.length) throw broken('ends within an element')
    elements.push(bytes.subarray(offset, offset + length))
    offset += length
  }
  if (elements.length < count) throw broken('has fewer elements than its shape says')
  return elements
}

function exactly({ name, pointer }: InputTensor, bytes: Buffer, size: number): Buffer {
  if (bytes.length === size) return bytes
  throw fieldError(
    `${pointer}/parameters/binary_data_size`,
    `of input '${name}' must be ${String(size)}, what its shape and datatype take, got ${String(bytes.length)}`,
  )
}

/** Walks data that are flat or nested as the shape is, in row-major order; `put` says what an element should have been. */
function fill(
  { name, pointer, shape }: InputTensor,
  json: unknown,
  put: (value: unknown, index: number) => string | undefined,
): void {
  const size = sizeOf(shape)
  const data = `${pointer}/data`
  const inputIs = (what: string) => fieldError(data, `of input '${name}' ${what}`)
  let index = 0
  const walk = (value: unknown, depth: number): void => {
    const length = shape[depth]
    if (length === undefined) {
      const wanted = put(value, index)
      if (wanted !== undefined)
        throw inputIs(`must hold ${wanted} at ${String(index)}, got ${shortened(value)}`)
      index += 1
      return
    }
    if (!Array.isArray(value) || value.length !== length)
      throw inputIs(
        `must be ${String(size)} values, flat or nested as [${shape.join(', ')}]; there is ${Array.isArray(value) ? `an array of ${String(value.length)}` : shortened(value)} in dimension ${String(depth)}`,
      )
    for (const one of value as unknown[]) walk(one, depth + 1)
  }
  if (Array.isArray(json) && json.length === size && !Array.isArray(json[0]))
    for (const value of json as unknown[]) walk(value, shape.length)
  else walk(json, 0)
}

function shortened(value: unknown): string {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  return (shownJson(value) ?? 'nothing').slice(0, 40)
}
