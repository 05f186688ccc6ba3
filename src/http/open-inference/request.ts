import { fieldError, ServiceError } from '../../common/errors.ts'
import { jsonProblem } from '../../common/json-limits.ts'
import { readJson } from '../../common/json-parts.ts'
import {
  checkRequestParameters,
  readCount,
  readFlag,
  parseObject,
  parseParameters,
  type Json,
} from './parameters.ts'

/** One input tensor, with its data as JSON or as bytes of the request body. */
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
  /** Number of top classes to return in place of values; 0 returns the values. */
  readonly classes: number
}

export interface InferenceRequest {
  readonly id: string | undefined
  readonly parameters: Json
  readonly inputs: readonly InputTensor[]
  /** Undefined or empty selects all. */
  readonly outputs: readonly RequestedOutput[] | undefined
  /** The default of `binary_data` for outputs. */
  readonly binary: boolean
}

/** Parses the length of the JSON, which binary tensors follow. MALFORMED_REQUEST if the header is invalid. */
export function parseHeadLength(header: string | string[] | undefined, bodyLength: number): number {
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
 * Parses an inference request (docs/protocol of Triton: inference and binary tensor data). `tail` are the bytes after the
 * JSON. Binary inputs are views of it, in order, and must use all of it.
 */
export async function readRequest(head: Buffer, tail: Buffer): Promise<InferenceRequest> {
  const json = parseObject(await parseJson(head), '#')
  const parameters = parseParameters(json, '#')
  checkRequestParameters(parameters)
  const binary = readFlag(parameters, 'binary_data_output', '#/parameters') ?? false
  const { id, inputs, outputs } = json
  if (id !== undefined && typeof id !== 'string') throw fieldError('#/id', 'must be a string')
  if (!Array.isArray(inputs)) throw fieldError('#/inputs', 'must be an array of tensors')
  if (outputs !== undefined && outputs !== null && !Array.isArray(outputs))
    throw fieldError('#/outputs', 'must be an array; omit it for all outputs')
  let offset = 0
  const take = (size: number, input: string, pointer: string): Buffer => {
    const missing = offset + size - tail.length
    if (missing > 0)
      throw fieldError(
        pointer,
        `unexpected size for input '${input}', expecting ${String(missing)} additional bytes; send them after the JSON`,
      )
    offset += size
    return tail.subarray(offset - size, offset)
  }
  const tensors = inputs.map((input, index) => parseInput(input, `#/inputs/${String(index)}`, take))
  if (offset < tail.length)
    throw new ServiceError(
      'MALFORMED_REQUEST',
      `unexpected additional input data for model: ${String(tail.length - offset)} bytes after the last input; set binary_data_size of every input`,
    )
  const requested = (outputs as unknown[] | null | undefined)?.map((output, index) =>
    parseOutput(output, `#/outputs/${String(index)}`, binary),
  )
  return { id, parameters, inputs: tensors, outputs: requested, binary }
}

export async function parseJson(text: Buffer): Promise<unknown> {
  try {
    return await readJson(text)
  } catch (error) {
    throw new ServiceError(
      'MALFORMED_REQUEST',
      `failed to parse the request JSON buffer: it ${jsonProblem(error)}; send a JSON object`,
    )
  }
}

/** Rejects duplicate names. */
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
  const json = parseObject(given, pointer)
  const { name, datatype, shape, data } = json
  if (typeof name !== 'string') throw fieldError(`${pointer}/name`, 'must be a string')
  if (typeof datatype !== 'string') throw fieldError(`${pointer}/datatype`, 'must be a string such as UINT8')
  const isLength = (length: unknown): boolean => Number.isSafeInteger(length) && (length as number) >= 0
  if (!Array.isArray(shape) || !shape.every(isLength))
    throw fieldError(`${pointer}/shape`, `of input '${name}' must be an array of integers of at least 0`)
  const common = { pointer, name, datatype, shape: shape as number[] }
  const parameters = `${pointer}/parameters`
  const size = readCount(parseParameters(json, pointer), 'binary_data_size', parameters)
  if (size === undefined) {
    if (data === undefined)
      throw fieldError(`${pointer}/data`, `is required of input '${name}', or parameters.binary_data_size`)
    return { ...common, data: { json: data } }
  }
  if (data !== undefined)
    throw fieldError(
      `${pointer}/data`,
      `of input '${name}' excludes parameters.binary_data_size; send one of them`,
    )
  return { ...common, data: { bytes: take(size, name, `${parameters}/binary_data_size`) } }
}

function parseOutput(given: unknown, pointer: string, binary: boolean): RequestedOutput {
  const json = parseObject(given, pointer)
  if (typeof json['name'] !== 'string') throw fieldError(`${pointer}/name`, 'must be a string')
  const parameters = parseParameters(json, pointer)
  const at = `${pointer}/parameters`
  return {
    pointer,
    name: json['name'],
    binary: readFlag(parameters, 'binary_data', at) ?? binary,
    classes: readCount(parameters, 'classification', at) ?? 0,
  }
}
