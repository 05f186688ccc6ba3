import { fieldError, ServiceError } from '../../common/errors.ts'
import { jsonProblem } from '../../common/json-limits.ts'
import { readJson } from '../../common/json-parts.ts'
import { checkRequestParameters, countOf, flagOf, objectOf, parametersOf, type Json } from './parameters.ts'

/** One input as it was sent: its data are JSON, or bytes of the request's body. */
export interface InputTensor {
  readonly pointer: string
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
  readonly data: { readonly json: unknown } | { readonly bytes: Buffer }
}

export interface RequestedOutput {
  readonly pointer: string
  readonly name: string
  readonly binary: boolean
  /** How many top classes in place of values; 0 for the values. */
  readonly classes: number
}

export interface InferenceRequest {
  readonly id: string | undefined
  readonly parameters: Json
  readonly inputs: readonly InputTensor[]
  /** Undefined or empty for all of them. */
  readonly outputs: readonly RequestedOutput[] | undefined
  /** What the request says of outputs that say nothing themselves. */
  readonly binary: boolean
}

/** How much of a body is JSON, the rest being tensors; MALFORMED_REQUEST where the header says nonsense. */
export function headLength(header: string | string[] | undefined, bodyLength: number): number {
  if (header === undefined) return bodyLength
  const length = typeof header === 'string' && /^\d{1,15}$/.test(header) ? Number(header) : Infinity
  if (length > bodyLength)
    throw new ServiceError(
      'MALFORMED_REQUEST',
      `Inference-Header-Content-Length must be the length of the JSON in bytes, at most the body's ${String(bodyLength)}, got ${String(header)}`,
    )
  return length
}

/**
 * Reads an inference request (docs/protocol of Triton: inference and binary tensor data). `tail` is what follows the
 * JSON: each binary input is a view of it, in the order of the inputs, and nothing may be left over.
 */
export async function readRequest(head: Buffer, tail: Buffer): Promise<InferenceRequest> {
  const json = objectOf(await requestJson(head), '#')
  const parameters = parametersOf(json, '#')
  checkRequestParameters(parameters)
  const binary = flagOf(parameters, 'binary_data_output', '#/parameters') ?? false
  const { id, inputs, outputs } = json
  if (id !== undefined && typeof id !== 'string') throw fieldError('#/id', 'must be a string')
  if (!Array.isArray(inputs)) throw fieldError('#/inputs', 'must be an array of tensors')
  if (outputs !== undefined && outputs !== null && !Array.isArray(outputs))
    throw fieldError('#/outputs', 'must be an array, or left out for all outputs')
  let offset = 0
  const take = (size: number, input: string, pointer: string): Buffer => {
    const missing = offset + size - tail.length
    if (missing > 0)
      throw fieldError(
        pointer,
        `unexpected size for input '${input}', expecting ${String(missing)} additional bytes; send all of them behind the JSON`,
      )
    offset += size
    return tail.subarray(offset - size, offset)
  }
  const tensors = inputs.map((input, index) => parseInput(input, `#/inputs/${String(index)}`, take))
  if (offset < tail.length)
    throw new ServiceError(
      'MALFORMED_REQUEST',
      `unexpected additional input data for model: ${String(tail.length - offset)} bytes behind the last input's; say every input's binary_data_size`,
    )
  const asked = (outputs as unknown[] | null | undefined)?.map((output, index) =>
    parseOutput(output, `#/outputs/${String(index)}`, binary),
  )
  return { id, parameters, inputs: tensors, outputs: asked, binary }
}

export async function requestJson(text: Buffer): Promise<unknown> {
  try {
    return await readJson(text)
  } catch (error) {
    throw new ServiceError(
      'MALFORMED_REQUEST',
      `failed to parse the request JSON buffer: it ${jsonProblem(error)}; send a JSON object`,
    )
  }
}

/** Refuses a name that an earlier tensor of the request has. */
export function assertUniqueNames(
  kind: 'input' | 'output',
  tensors: readonly { readonly name: string; readonly pointer: string }[],
): void {
  const names = new Set<string>()
  for (const { name, pointer } of tensors) {
    if (names.has(name))
      throw fieldError(`${pointer}/name`, `${kind} '${name}' already exists in request; send it once`)
    names.add(name)
  }
}

function parseInput(
  given: unknown,
  pointer: string,
  take: (size: number, input: string, pointer: string) => Buffer,
): InputTensor {
  const json = objectOf(given, pointer)
  const { name, datatype, shape, data } = json
  if (typeof name !== 'string') throw fieldError(`${pointer}/name`, 'must be a string')
  if (typeof datatype !== 'string') throw fieldError(`${pointer}/datatype`, 'must be a string such as UINT8')
  const isLength = (length: unknown): boolean => Number.isSafeInteger(length) && (length as number) >= 0
  if (!Array.isArray(shape) || !shape.every(isLength))
    throw fieldError(`${pointer}/shape`, `of input '${name}' must be an array of integers of at least 0`)
  const common = { pointer, name, datatype, shape: shape as number[] }
  const parameters = `${pointer}/parameters`
  const size = countOf(parametersOf(json, pointer), 'binary_data_size', parameters)
  if (size === undefined) {
    if (data === undefined)
      throw fieldError(`${pointer}/data`, `is required of input '${name}', or parameters.binary_data_size`)
    return { ...common, data: { json: data } }
  }
  if (data !== undefined)
    throw fieldError(`${pointer}/data`, `of input '${name}' goes without parameters.binary_data_size`)
  return { ...common, data: { bytes: take(size, name, `${parameters}/binary_data_size`) } }
}

function parseOutput(given: unknown, pointer: string, binary: boolean): RequestedOutput {
  const json = objectOf(given, pointer)
  if (typeof json['name'] !== 'string') throw fieldError(`${pointer}/name`, 'must be a string')
  const parameters = parametersOf(json, pointer)
  const at = `${pointer}/parameters`
  return {
    pointer,
    name: json['name'],
    binary: flagOf(parameters, 'binary_data', at) ?? binary,
    classes: countOf(parameters, 'classification', at) ?? 0,
  }
}
