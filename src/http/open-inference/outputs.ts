import { outputOf } from '../../engine/contract.ts'
import { fieldError } from '../../common/errors.ts'
import type { JobResult } from '../../serving/prediction/job.ts'
import { OUTPUTS } from './metadata.ts'
import { assertUniqueNames, type InferenceRequest, type RequestedOutput } from './request.ts'

export interface OutputContext {
  readonly name: string
  readonly version: string
  readonly count: number
  readonly labels: readonly string[] | undefined
}

export interface InferenceAnswer {
  readonly body: Buffer
  /** Length of the JSON if binary tensors follow it. */
  readonly headLength: number | undefined
}

/** Selects the outputs of a request before it is computed. An empty list selects all; INVALID_REQUEST if invalid. */
export function selectOutputs({ outputs = [], binary }: InferenceRequest): readonly RequestedOutput[] {
  if (outputs.length === 0) return OUTPUTS.map((name) => ({ pointer: '#/outputs', name, binary, classes: 0 }))
  assertUniqueNames('output', outputs)
  for (const { name, pointer } of outputs) {
    if (!OUTPUTS.includes(name as (typeof OUTPUTS)[number]))
      throw fieldError(
        `${pointer}/name`,
        `unexpected inference output '${name}'; request ${OUTPUTS.join(' or ')}`,
      )
  }
  return outputs
}

/** Writes a response: JSON, followed by the outputs that were requested as binary data. */
export function writeAnswer(
  { id }: Pick<InferenceRequest, 'id'>,
  requested: readonly RequestedOutput[],
  result: Pick<JobResult, 'vectors'>,
  { name, version, count, labels }: OutputContext,
): InferenceAnswer {
  const tensors: Buffer[] = []
  const outputs = requested.map(({ pointer, name: output, binary, classes }) => {
    const values = outputOf(result, output as (typeof OUTPUTS)[number])
    const width = values.length / count
    const elements = classes > 0 ? formatClasses(values, width, Math.min(classes, width), labels) : undefined
    const about = {
      name: output,
      datatype: elements ? 'BYTES' : 'FP32',
      shape: [count, elements ? elements.length / count : width],
    }
    if (!binary) {
      if (!elements && !values.every(Number.isFinite))
        throw fieldError(
          pointer,
          `output '${output}' has NaN or infinite values, which JSON cannot represent; request it as binary data`,
        )
      return { ...about, data: elements ?? [...values] }
    }
    const bytes = elements
      ? frameElements(elements)
      : Buffer.from(values.buffer, values.byteOffset, values.byteLength)
    tensors.push(bytes)
    return { ...about, parameters: { binary_data_size: bytes.length } }
  })
  const answer = { ...(id === undefined ? {} : { id }), model_name: name, model_version: version, outputs }
  const head = Buffer.from(JSON.stringify(answer))
  return tensors.length === 0
    ? { body: head, headLength: undefined }
    : { body: Buffer.concat([head, ...tensors]), headLength: head.length }
}

/** Formats the k largest values of each row as "value:index" or "value:index:label", in descending order, NaN last. */
function formatClasses(
  values: Float32Array,
  width: number,
  k: number,
  labels: readonly string[] | undefined,
): string[] {
  const elements: string[] = []
  for (let start = 0; start < values.length; start += width) {
    const row = values.subarray(start, start + width)
    const rank = (index: number): number => {
      const value = row[index] ?? Number.NaN
      return Number.isNaN(value) ? -Infinity : value
    }
    const order = [...row.keys()].sort((a, b) => (rank(b) > rank(a) ? 1 : rank(b) < rank(a) ? -1 : a - b))
    for (const index of order.slice(0, k)) {
      const label = labels?.[index]
      elements.push(`${String(row[index])}:${String(index)}${label === undefined ? '' : `:${label}`}`)
    }
  }
  return elements
}

/** Writes elements as BYTES: each after its length. */
function frameElements(elements: readonly string[]): Buffer {
  return Buffer.concat(
    elements.flatMap((element) => {
      const bytes = Buffer.from(element)
      const length = Buffer.alloc(4)
      length.writeUInt32LE(bytes.length)
      return [length, bytes]
    }),
  )
}
