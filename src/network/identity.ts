import { createHash } from 'node:crypto'
import { minimalConfig } from '../initializers/catalogue.ts'
import type { Initializer } from '../initializers/initializer.ts'
import { canonicalJson, withoutDefaults } from '../common/canonical-json.ts'
import type { InitializedParameter } from './parameters.ts'
import { Specification } from './specification.ts'

/** A specification, and the parameters it initializes. */
interface Identified {
  readonly specification: Specification
  readonly initialized: readonly Pick<InitializedParameter, 'initializer' | 'shape'>[]
}

/**
 * The canonical form: a specification without fields that equal their defaults. A field added later therefore
 * changes no id. Requests that resolve to the same network have the same form.
 */
export function canonicalForm({ specification, initialized }: Identified): object {
  const { overrides, ...named } = specification.initializers
  const brief = (initializer: Initializer) => {
    const users = initialized.filter((parameter) => parameter.initializer === initializer)
    const shapes = users.map(({ shape }) => shape)
    return { ...initializer, config: minimalConfig(initializer, shapes) }
  }
  const initializers = {
    ...Object.fromEntries(Object.entries(named).map(([field, initializer]) => [field, brief(initializer)])),
    overrides: overrides.map(({ match, initializer }) => ({ match, initializer: brief(initializer) })),
  }
  return withoutDefaults(Specification, { ...specification, initializers }) as object
}

/**
 * SHA-256 of the canonical JSON (RFC 8785). It includes the digest of loaded weights and factors measured with a
 * client's own images, which the specification does not determine.
 */
export function identify(
  identified: Identified,
  weightsDigest?: string,
  factors?: Readonly<Record<string, number>>,
): string {
  const text = canonicalJson({ ...canonicalForm(identified), weights: weightsDigest, factors })
  return createHash('sha256').update(text).digest('hex')
}
