import { Ajv, type ErrorObject } from 'ajv'
import { closest, distance } from 'fastest-levenshtein'
import type { Static, TSchema } from 'typebox'
import { fieldErrors, pointerTo, type FieldError } from './errors.ts'

/** Bodies: nothing is coerced, nothing removed, no default filled in. */
const bodies = new Ajv({ allErrors: true, verbose: true, strict: true, allowUnionTypes: true })
/** Query strings, path parameters and environment variables arrive as text, so their scalars are parsed. */
const scalars = new Ajv({
  allErrors: true,
  verbose: true,
  strict: true,
  coerceTypes: true,
  useDefaults: true,
})

/** Gives the errors of a value, or none. Text scalars are parsed in place when `source` is 'text'. */
export type Checker = (value: unknown, pointer?: string) => FieldError[]

export function checker(schema: TSchema, source: 'json' | 'text' = 'json'): Checker {
  const validate = (source === 'json' ? bodies : scalars).compile(schema)
  return (value, pointer = '#') => (validate(value) ? [] : describe(validate.errors ?? [], pointer))
}

/** Returns the value with the schema's type, or throws INVALID_REQUEST naming every wrong field. */
export function parser<S extends TSchema>(schema: S, source: 'json' | 'text' = 'json') {
  const check = checker(schema, source)
  return (value: unknown, pointer = '#'): Static<S> => {
    const errors = check(value, pointer)
    if (errors.length > 0) throw fieldErrors(errors)
    return value as Static<S>
  }
}

/** The known name nearest to a wrong one, as a question, or the list of names where none is near. */
export function didYouMean(wrong: string, known: readonly string[]): string {
  if (known.length === 0) return 'no field is known here'
  return (
    nearestOf(wrong, known) ?? `known: ${known.slice(0, 24).join(', ')}${known.length > 24 ? ', ...' : ''}`
  )
}

function nearestOf(wrong: string, known: readonly string[]): string | undefined {
  const nearest = closest(wrong, known)
  const near = distance(wrong, nearest) <= Math.max(2, wrong.length / 3)
  return near ? `did you mean ${JSON.stringify(nearest)}?` : undefined
}

function describe(errors: readonly ErrorObject[], pointer: string): FieldError[] {
  const seen = new Set<string>()
  return withoutOtherBranches(errors)
    .map((error) => describeOne(error, pointer))
    .filter(({ pointer, detail }) => {
      const line = `${pointer} ${detail}`
      return seen.has(line) ? false : seen.add(line)
    })
}

function describeOne(error: ErrorObject, base: string): FieldError {
  const pointer = base + error.instancePath
  const params = error.params as Record<string, unknown>
  const got = `, got ${shown(error.data)}`
  switch (error.keyword) {
    case 'additionalProperties': {
      const name = String(params['additionalProperty'])
      const known = Object.keys((error.parentSchema as { properties?: object }).properties ?? {})
      return {
        pointer: pointerTo(pointer, name),
        detail: `is not a known field; ${didYouMean(name, known)}`,
      }
    }
    case 'required':
      return { pointer: pointerTo(pointer, String(params['missingProperty'])), detail: 'is required' }
    case 'enum': {
      const allowed = params['allowedValues'] as unknown[]
      const words = allowed.filter((value) => typeof value === 'string')
      const hint = typeof error.data === 'string' && nearestOf(error.data, words)
      const choices = allowed.map((v) => shown(v)).join(', ')
      return { pointer, detail: `must be one of ${choices}${got}${hint ? `; ${hint}` : ''}` }
    }
    case 'const':
      return { pointer, detail: `must be ${shown(params['allowedValue'])}${got}` }
    case 'pattern': {
      const { description } = error.parentSchema as { description?: string }
      return { pointer, detail: `must be ${description ?? String(params['pattern'])}${got}` }
    }
    case 'anyOf':
      return { pointer, detail: `must be ${alternatives(error.schema)}${got}` }
    default:
      return { pointer, detail: `${error.message ?? 'is not valid'}${got}` }
  }
}

/**
 * Of a union's branches only those that fit the value's JSON type are worth an error: a wrong field within an
 * object says nothing about the branch that would have been a string.
 */
function withoutOtherBranches(errors: readonly ErrorObject[]): ErrorObject[] {
  const dropped = new Set<ErrorObject>()
  for (const union of errors.filter(({ keyword }) => keyword === 'anyOf')) {
    const branches = (union.schema as unknown[]).map((_, index) =>
      errors.filter(
        (error) => error !== union && error.schemaPath.startsWith(`${union.schemaPath}/${String(index)}/`),
      ),
    )
    const misfit = (error: ErrorObject): boolean =>
      error.instancePath === union.instancePath && ['type', 'enum', 'const'].includes(error.keyword)
    const fitting = branches.filter((branch) => branch.length > 0 && !branch.some(misfit))
    for (const branch of branches)
      if (!fitting.includes(branch)) branch.forEach((error) => dropped.add(error))
    if (fitting.length > 0) dropped.add(union)
  }
  return errors.filter((error) => !dropped.has(error))
}

function alternatives(branches: unknown): string {
  return (branches as { type?: string | string[]; enum?: unknown[]; const?: unknown }[])
    .map((branch) => {
      if (branch.enum) return branch.enum.map((v) => shown(v)).join(', ')
      if ('const' in branch) return shown(branch.const)
      return branch.type === undefined
        ? 'another form'
        : `${/^[aio]/.test(String(branch.type)) ? 'an' : 'a'} ${String(branch.type)}`
    })
    .join(' or ')
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) as string | undefined
  if (text === undefined) return 'nothing'
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}
