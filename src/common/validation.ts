import { Ajv, type ErrorObject } from 'ajv'
import { closest, distance } from 'fastest-levenshtein'
import type { Static, TSchema } from 'typebox'
import { fieldErrors, MAX_REPORTED, pointerTo, shownJson, shownName, type FieldError } from './errors.ts'

/** Optimized code would save less time per check than the optimization takes at the start. */
const PLAIN = { verbose: true, strict: true, code: { optimize: false } } as const
const BODIES = { ...PLAIN, allowUnionTypes: true } as const
/** Bodies: nothing is coerced, nothing removed, no default filled in. */
const bodies = new Ajv({ ...BODIES, allErrors: true })
/**
 * The same, but stops at the first error: every error is an object, and a body of millions of values may have
 * as many. String lengths are counted in UTF-16 units, because counting characters takes time.
 */
const largeBodies = new Ajv({ ...BODIES, unicode: false, logger: false })
/** A larger body gets one error only. */
const MANY_PARTS = 20_000
/** Larger values are described by their type, not shown. */
const SHOWN_PARTS = 100
/** Longer names get no suggestion. */
const MAX_NAME_LENGTH = 100
/** Query strings, path parameters and environment variables arrive as text, so their scalars are parsed. */
const scalars = new Ajv({
  ...PLAIN,
  allErrors: true,
  coerceTypes: true,
  useDefaults: true,
})

/**
 * Returns the errors of a value. If `source` is 'text', scalars are parsed in place; 'json' may be a part of
 * a body.
 */
export type Checker = (value: unknown, pointer?: string) => FieldError[]

export function checker(schema: TSchema, source: 'json' | 'text' = 'json'): Checker {
  const small = source === 'text' ? scalars : bodies
  return (value, pointer = '#') => {
    const isLarge = source === 'json' && hasMoreParts(value, MANY_PARTS)
    // Ajv compiles a schema once. Doing so when it is first needed makes the start a quarter shorter.
    const validate = (isLarge ? largeBodies : small).compile(schema)
    return validate(value) ? [] : describe(validate.errors ?? [], pointer)
  }
}

/** Returns the value with the schema's type. Throws INVALID_REQUEST with all wrong fields. */
export function parser<S extends TSchema>(schema: S, source: 'json' | 'text' = 'json') {
  const check = checker(schema, source)
  return (value: unknown, pointer = '#'): Static<S> => {
    const errors = check(value, pointer)
    if (errors.length > 0) throw fieldErrors(errors)
    return value as Static<S>
  }
}

/** The known name nearest to a wrong one, as a question, or the list of names if none is near. */
export function didYouMean(wrong: string, known: readonly string[]): string {
  if (known.length === 0) return 'no field is known here'
  return (
    findNearest(wrong, known) ?? `known: ${known.slice(0, 24).join(', ')}${known.length > 24 ? ', ...' : ''}`
  )
}

function findNearest(wrong: string, known: readonly string[]): string | undefined {
  // The search takes time proportional to the name's length, for every known name.
  if (wrong.length > MAX_NAME_LENGTH) return undefined
  const nearest = closest(wrong, known)
  const near = distance(wrong, nearest) <= Math.max(2, wrong.length / 3)
  return near ? `did you mean ${JSON.stringify(nearest)}?` : undefined
}

function describe(errors: readonly ErrorObject[], pointer: string): FieldError[] {
  const seen = new Set<string>()
  return keepMatchingBranches(errors)
    .map((error) => describeOne(error, pointer))
    .filter(({ pointer, detail }) => {
      const line = `${pointer} ${detail}`
      return seen.has(line) ? false : seen.add(line)
    })
    .slice(0, MAX_REPORTED)
}

/**
 * True if a value has more parts than `limit`: values in it, and every 100 characters of a string or a name.
 */
function hasMoreParts(value: unknown, limit: number): boolean {
  const pending: unknown[] = [value]
  let remaining = limit
  for (;;) {
    const part = pending.pop()
    remaining -= 1 + (typeof part === 'string' ? part.length / 100 : 0)
    if (typeof part === 'object' && part !== null) {
      const parts: unknown[] = Array.isArray(part) ? part : Object.values(part)
      if (!Array.isArray(part)) for (const name of Object.keys(part)) remaining -= name.length / 100
      if (parts.length > remaining) return true
      pending.push(...parts)
    }
    if (remaining < 0) return true
    if (pending.length === 0) return false
  }
}

function describeOne(error: ErrorObject, base: string): FieldError {
  const pointer = base + error.instancePath
  const params = error.params as Record<string, unknown>
  const got = `, got ${shown(error.data)}`
  switch (error.keyword) {
    case 'additionalProperties': {
      const name = shownName(String(params['additionalProperty']))
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
      const hint = typeof error.data === 'string' && findNearest(error.data, words)
      const choices = allowed.map((v) => shown(v)).join(', ')
      return { pointer, detail: `must be one of ${choices}${got}${hint ? `; ${hint}` : ''}` }
    }
    case 'pattern': {
      // A pattern's description is clearer than the pattern.
      const { examples, description } = error.parentSchema as {
        readonly examples?: readonly string[]
        readonly description?: string
      }
      const wanted = examples === undefined ? description : `like ${examples.join(' or ')}`
      return {
        pointer,
        detail: `${wanted === undefined ? (error.message ?? '') : `must be ${wanted}`}${got}`,
      }
    }
    case 'const':
      return { pointer, detail: `must be ${shown(params['allowedValue'])}${got}` }
    case 'anyOf':
      return { pointer, detail: `must be ${alternatives(error.schema)}${got}` }
    default:
      return { pointer, detail: `${error.message ?? 'is not valid'}${got}` }
  }
}

/**
 * Keeps only the errors of a union's branches that match the value's JSON type. A wrong field in an object
 * is no error of a branch that is a string.
 */
function keepMatchingBranches(errors: readonly ErrorObject[]): ErrorObject[] {
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
  if (typeof value === 'string' && value.length > 80)
    return `${JSON.stringify(value.slice(0, 80)).slice(0, 77)}...`
  if (Array.isArray(value) && hasMoreParts(value, SHOWN_PARTS)) return `an array of ${String(value.length)}`
  if (typeof value === 'object' && hasMoreParts(value, SHOWN_PARTS)) return 'a large object'
  const text = shownJson(value)
  if (text === undefined) return 'nothing'
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}
