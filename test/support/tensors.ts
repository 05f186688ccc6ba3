import type { Answer } from './client.ts'
import { arithmeticImage } from './images.ts'

/** One image of the tiny network as an input tensor, with changed fields. */
export function imagesInput(changes: object = {}) {
  const shape = [8, 8, 3]
  return {
    ...{ name: 'images', datatype: 'UINT8', shape: [1, ...shape] },
    data: [...arithmeticImage(shape)],
    ...changes,
  }
}

/** An inference request with binary tensors: its JSON followed by the tensors. */
export function binaryRequest(json: object, ...tensors: readonly Uint8Array[]) {
  const head = Buffer.from(JSON.stringify(json))
  return {
    body: Buffer.concat([head, ...tensors]),
    headers: { 'inference-header-content-length': String(head.length) },
  }
}

/** Elements in the format of BYTES. */
export function framed(...elements: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    elements.flatMap((element) => {
      const length = Buffer.alloc(4)
      length.writeUInt32LE(element.length)
      return [length, element]
    }),
  )
}

interface OutputTensor {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
  readonly parameters?: { readonly binary_data_size: number }
  readonly data?: readonly (number | string)[]
}

interface InferenceBody {
  readonly id?: string
  readonly model_name: string
  readonly model_version: string
  readonly outputs: readonly OutputTensor[]
}

/** The JSON of a response, and its float32 outputs by name, binary or not. */
export function inferenceOf({ status, headers, bytes }: Answer) {
  if (status !== 200) throw new Error(bytes.toString())
  const length = Number(headers['inference-header-content-length'] ?? bytes.length)
  const json = JSON.parse(bytes.subarray(0, length).toString()) as InferenceBody
  let offset = length
  const floats = json.outputs.map(({ name, data, parameters }) => {
    if (data) return [name, data.map(Number)] as const
    const size = parameters?.binary_data_size ?? 0
    offset += size
    return [
      name,
      [...new Float32Array(Uint8Array.from(bytes.subarray(offset - size, offset)).buffer)],
    ] as const
  })
  if (offset !== bytes.length) throw new Error('bytes remain after the last tensor')
  return { json, floats: Object.fromEntries(floats) as Record<string, number[]> }
}
