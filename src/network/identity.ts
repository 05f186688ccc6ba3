import { canonicalJson } from './canonical.ts'
import { createHash } from 'node:crypto'
import { minimalConfig } from '../initializers/catalogue.ts'
import type { Initializer } from '../initializers/initializer.ts'
import { resolveSpecification } from './resolve.ts'
import type { Specification } from './specification.ts'

type Json = Record<string, unknown>

const defaults = briefly(resolveSpecification({ architecture: { stages: [{ blocks: 1, filters: 1 }] } }))

/**
 * The canonical form: a specification without the fields that equal their defaults, so that a field added later
 * changes no id. Two requests that resolve to the same network have the same form, whatever words they used.
 */
function canonicalForm(specification: Specification): Json {
  const { stages } = specification.architecture
  const form = difference(briefly(specification), defaults) as Json
  return { ...form, architecture: { ...(form['architecture'] as Json | undefined), stages } }
}

/** SHA-256 of the canonical JSON (RFC 8785); the digest of loaded weights is part of what they identify. */
export function identify(specification: Specification, weightsDigest?: string): string {
  const form = canonicalForm(specification)
  const text = canonicalJson(weightsDigest === undefined ? form : { ...form, weights: weightsDigest })
  return createHash('sha256').update(text).digest('hex')
}

/** Initializers as [class, config fields that are not default]: an array, so that they are compared whole. */
function briefly({ initializers, ...rest }: Specification): Json {
  const { overrides, ...named } = initializers
  const brief = (initializer: Initializer) => [initializer.class_name, minimalConfig(initializer)]
  return {
    ...rest,
    initializers: {
      ...Object.fromEntries(Object.entries(named).map(([field, initializer]) => [field, brief(initializer)])),
      overrides: overrides.map(({ match, initializer }) => [match, brief(initializer)]),
    },
  }
}

/** The fields of `value` that differ from `standard`, records field by field, everything else whole. */
function difference(value: unknown, standard: unknown): unknown {
  if (!isRecord(value) || !isRecord(standard)) return value
  const differs = ([name, field]: [string, unknown]): boolean =>
    canonicalJson(field) !== canonicalJson(standard[name])
  return Object.fromEntries(
    Object.entries(value)
      .filter(differs)
      .map(([name, field]) => [name, difference(field, standard[name])]),
  )
}

function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
