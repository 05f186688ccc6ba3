import { fieldError, ServiceError } from '../../common/errors.ts'
import { readJson } from '../../common/json-parts.ts'

/** A parsed predict request: the one input with its elements, and the format of the response. */
export interface PredictRequest {
  readonly input: 'images' | 'image_bytes'
  /** One for each image, with its JSON pointer. */
  readonly elements: readonly { readonly value: unknown; readonly pointer: string }[]
  readonly layout: 'rows' | 'columns'
}

export const SIGNATURE = 'serving_default'
/** The inputs of each signature. The default one accepts either input, which a SavedModel cannot express. */
const INPUTS: Readonly<Record<string, readonly PredictRequest['input'][]>> = {
  [SIGNATURE]: ['images', 'image_bytes'],
  image_bytes: ['image_bytes'],
}

/**
 * Parses a predict request in row (`instances`) or column (`inputs`) format, as in `g3doc/api_rest.md` of TensorFlow
 * Serving. A bare value selects its input by its form. Unknown fields are ignored, as there.
 */
export async function readPredictRequest(body: Buffer): Promise<PredictRequest> {
  const request = readRecord(await parse(body))
  if (request === undefined) throw fieldError('#', 'must be an object with "instances" or "inputs"')
  const { signature_name: given = '', instances, inputs } = request
  if (typeof given !== 'string') throw fieldError('#/signature_name', 'must be a string')
  const signature = given === '' ? SIGNATURE : given
  const allowed = Object.hasOwn(INPUTS, signature) ? INPUTS[signature] : undefined
  if (allowed === undefined)
    throw fieldError(
      '#/signature_name',
      `Serving signature name: "${signature}" not found in signature def; send ${Object.keys(INPUTS).join(' or ')}`,
    )
  if ((instances === undefined) === (inputs === undefined))
    throw fieldError('#', 'must have either "instances" (by row) or "inputs" (by column), and not both')
  const read = instances === undefined ? readColumns(inputs) : readRows(instances)
  if (!allowed.includes(read.input))
    throw fieldError('#/signature_name', `${signature} has no input ${read.input}`)
  return read
}

function readRows(instances: unknown): PredictRequest {
  if (!Array.isArray(instances) || instances.length === 0)
    throw fieldError('#/instances', 'must be a list of at least one instance')
  const rows = instances.map((value: unknown, index) => {
    const pointer = `#/instances/${String(index)}`
    return { ...readInput(value, pointer), pointer }
  })
  const [{ input, named }] = rows as [(typeof rows)[number]]
  const other = rows.find((row) => row.input !== input || row.named !== named)
  if (other) {
    if (other.input !== input)
      throw fieldError(other.pointer, `must be like the first: keys must be equal to: ${input}`)
    const [expected, got] = named ? ['object', 'value/list'] : ['value/list', 'object']
    throw fieldError(other.pointer, `must be like the first: Expecting ${expected} but got ${got}`)
  }
  return {
    ...{ input, layout: 'rows' },
    elements: rows.map(({ value, named, pointer }) => ({
      value,
      pointer: named ? `${pointer}/${input}` : pointer,
    })),
  }
}

function readColumns(inputs: unknown): PredictRequest {
  const pointer = '#/inputs'
  // The first element of a bare list selects the input.
  const bare: unknown = Array.isArray(inputs) ? inputs[0] : undefined
  const { input, value, named } =
    bare === undefined
      ? readInput(inputs, pointer)
      : {
          input: isEncoded(bare) ? ('image_bytes' as const) : ('images' as const),
          value: inputs,
          named: false,
        }
  const at = named ? `${pointer}/${input}` : pointer
  const list: readonly unknown[] = isEncoded(value) ? [value] : Array.isArray(value) ? value : []
  if (list.length === 0) throw fieldError(at, 'must be a list of at least one image')
  return {
    ...{ input, layout: 'columns' },
    elements: list.map((element, index) => ({ value: element, pointer: `${at}/${String(index)}` })),
  }
}

interface Input {
  readonly input: PredictRequest['input']
  readonly value: unknown
  /** Whether the value was an object that names the input. */
  readonly named: boolean
}

function readInput(value: unknown, pointer: string): Input {
  if (Array.isArray(value)) return { input: 'images', value, named: false }
  if (isEncoded(value)) return { input: 'image_bytes', value, named: false }
  const record = readRecord(value)
  const [key, ...others] = Object.keys(record ?? {})
  if (record === undefined || (key !== 'images' && key !== 'image_bytes') || others.length > 0)
    throw fieldError(
      pointer,
      'Missing named input: must be an image as nested lists, {"b64": "..."} without other fields, or an object with exactly one of images and image_bytes',
    )
  return { input: key, value: record[key], named: true }
}

function isEncoded(value: unknown): boolean {
  return readBase64(value) !== undefined
}

/** The text of `{"b64": "..."}`; undefined for any other value, including an object with more fields. */
export function readBase64(value: unknown): string | undefined {
  const { b64, ...others } = readRecord(value) ?? {}
  return typeof b64 === 'string' && Object.keys(others).length === 0 ? b64 : undefined
}

function readRecord(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined
}

async function parse(body: Buffer): Promise<unknown> {
  try {
    return await readJson(body)
  } catch (error) {
    throw new ServiceError('MALFORMED_REQUEST', `JSON Parse error: ${(error as Error).message}`)
  }
}
