import { fieldError, pointerTo } from '../../common/errors.ts'

export type Json = Readonly<Record<string, unknown>>

export function objectOf(value: unknown, pointer: string): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json
  throw fieldError(pointer, 'must be an object')
}

const PARAMETER_TYPES: readonly string[] = ['string', 'number', 'boolean']

/** The parameters of a request, an input or an output. Those of shared memory are refused wherever they are. */
export function parametersOf({ parameters }: Json, pointer: string): Json {
  if (parameters === undefined || parameters === null) return {}
  const at = pointerTo(pointer, 'parameters')
  const given = objectOf(parameters, at)
  for (const [name, value] of Object.entries(given)) {
    if (!PARAMETER_TYPES.includes(typeof value))
      throw fieldError(pointerTo(at, name), 'has an invalid type; it must be a string, a number or a boolean')
    if (name.startsWith('shared_memory_'))
      throw fieldError(
        pointerTo(at, name),
        'needs shared memory, which is not offered; send the data in the body',
      )
  }
  return given
}

/** The values of sequence parameters that request no sequence: models here keep nothing between requests. */
const NO_SEQUENCE: Readonly<Record<string, readonly unknown[]>> = {
  sequence_id: [0, ''],
  sequence_start: [false],
  sequence_end: [false],
}

/** Checks what a whole request may have among its parameters. Unknown ones are ignored. */
export function checkRequestParameters(parameters: Json): void {
  for (const [name, value] of Object.entries(parameters)) {
    const pointer = pointerTo('#/parameters', name)
    if (name.startsWith('triton_')) throw fieldError(pointer, 'is a name that is reserved for Triton')
    if (Object.hasOwn(NO_SEQUENCE, name) && NO_SEQUENCE[name]?.includes(value) !== true)
      throw fieldError(pointer, 'is for models with a state; these have none')
  }
  // Checked though nothing depends on it.
  countOf(parameters, 'priority', '#/parameters')
}

/** A count among parameters; undefined where it is not there. */
export function countOf(parameters: Json, name: string, pointer: string): number | undefined {
  const value = parameters[name]
  if (value === undefined || (Number.isSafeInteger(value) && (value as number) >= 0)) return value as number
  throw fieldError(pointerTo(pointer, name), 'must be an integer of at least 0')
}

export function flagOf(parameters: Json, name: string, pointer: string): boolean | undefined {
  const value = parameters[name]
  if (value === undefined || typeof value === 'boolean') return value
  throw fieldError(pointerTo(pointer, name), 'must be true or false')
}
