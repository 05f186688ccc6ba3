import { fieldError, pointerTo } from '../../common/errors.ts'

export type Json = Readonly<Record<string, unknown>>

export function parseObject(value: unknown, pointer: string): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json
  throw fieldError(pointer, 'must be an object')
}

const PARAMETER_TYPES: readonly string[] = ['string', 'number', 'boolean']

/** Parses the parameters of a request, an input or an output. Shared memory parameters are always rejected. */
export function parseParameters({ parameters }: Json, pointer: string): Json {
  if (parameters === undefined || parameters === null) return {}
  const at = pointerTo(pointer, 'parameters')
  const given = parseObject(parameters, at)
  for (const [name, value] of Object.entries(given)) {
    if (!PARAMETER_TYPES.includes(typeof value))
      throw fieldError(pointerTo(at, name), 'has an invalid type; it must be a string, a number or a boolean')
    if (name.startsWith('shared_memory_'))
      throw fieldError(
        pointerTo(at, name),
        'needs shared memory, which is not supported; send the data in the body',
      )
  }
  return given
}

/** Values of sequence parameters that request no sequence: models are stateless. */
const NO_SEQUENCE: Readonly<Record<string, readonly unknown[]>> = {
  sequence_id: [0, ''],
  sequence_start: [false],
  sequence_end: [false],
}

/** Checks the parameters of a request. Unknown ones are ignored. */
export function checkRequestParameters(parameters: Json): void {
  for (const [name, value] of Object.entries(parameters)) {
    const pointer = pointerTo('#/parameters', name)
    if (name.startsWith('triton_')) throw fieldError(pointer, 'is a name reserved for Triton')
    if (Object.hasOwn(NO_SEQUENCE, name) && NO_SEQUENCE[name]?.includes(value) !== true)
      throw fieldError(pointer, 'requires a stateful model; models here are stateless')
  }
  // Validated, though it has no effect.
  readCount(parameters, 'priority', '#/parameters')
}

/** Reads a count; undefined if absent. */
export function readCount(parameters: Json, name: string, pointer: string): number | undefined {
  const value = parameters[name]
  if (value === undefined || (Number.isSafeInteger(value) && (value as number) >= 0)) return value as number
  throw fieldError(pointerTo(pointer, name), 'must be an integer of at least 0')
}

export function readFlag(parameters: Json, name: string, pointer: string): boolean | undefined {
  const value = parameters[name]
  if (value === undefined || typeof value === 'boolean') return value
  throw fieldError(pointerTo(pointer, name), 'must be true or false')
}
