import { fieldError } from '../common/errors.ts'
import { completeInitializer, resolveLaw } from '../initializers/catalogue.ts'
import { ownSeed, type Initializer } from '../initializers/initializer.ts'
import { isFixed, scaled, type Law } from '../initializers/law.ts'
import type { SeedVector } from '../initializers/seeds.ts'
import { constructionSeeds } from './construction.ts'
import { nameMatcher } from './globs.ts'
import { schemeRule } from './schemes.ts'
import type { Parameter } from './shapes.ts'
import type { Specification } from './specification.ts'

/** Variable scope of all parameters in a SavedModel. */
export const VARIABLE_SCOPE = 'residual_network'

interface PlannedParameter extends Parameter {
  readonly initializer: Initializer
  /** The residual scheme's factor on the initializer's values; the law includes it. */
  readonly factor?: number
  readonly law: Law
}

/** A trainable parameter with its law and seed. */
export interface InitializedParameter extends PlannedParameter {
  readonly seed: SeedVector
}

/** Values of moving moments before any training. */
export const INITIAL_MOMENTS = { moving_mean: 0, moving_variance: 1 } as const

export function isBuffer({ role }: Parameter): boolean {
  return role === 'moving_mean' || role === 'moving_variance'
}

/**
 * Assigns initializer, law and seed vector to every trainable parameter, in creation order. The residual scheme's
 * rules take precedence over the general initializers, and `overrides` over both. `factors` are measured factors of
 * kernels, by name.
 */
export function initializeParameters(
  parameters: readonly Parameter[],
  { initializers, seed, seeding, residual_scheme, architecture }: Specification,
  factors: Readonly<Record<string, number>> = {},
): InitializedParameter[] {
  const overrides = initializers.overrides.map(({ match, initializer }, index) => {
    const matches = nameMatcher(match)
    if (!parameters.some((parameter) => !isBuffer(parameter) && matches(parameter.name))) {
      throw fieldError(
        `#/initializers/overrides/${String(index)}/match`,
        `${JSON.stringify(match)} matches no parameter`,
      )
    }
    return { matches, initializer, field: `overrides/${String(index)}/initializer` }
  })
  const placed = parameters.flatMap((parameter) => {
    if (isBuffer(parameter)) return []
    const { name, shape, role } = parameter
    const override = overrides.findLast(({ matches }) => matches(name))
    const rule = override ? {} : schemeRule(residual_scheme, architecture, parameter)
    const { initializer, field } =
      override ??
      (rule.initializer === undefined
        ? defaultInitializer(parameter, initializers)
        : { initializer: completeInitializer(rule.initializer, '#/residual_scheme'), field: role })
    const law = resolveLaw(initializer, shape, `#/initializers/${field}`, { name })
    const factor = factors[name] ?? rule.factor
    return factor === undefined
      ? { ...parameter, initializer, law }
      : { ...parameter, initializer, law: scaled(law, factor), factor }
  })
  const seeds = seeding === 'keras' ? constructionSeeds(placed, seed) : layerSeeds(placed, seed)
  return placed.map((parameter, index) => ({
    ...parameter,
    seed: ownSeed(parameter.initializer) ?? seeds[index] ?? [0, 0],
  }))
}

/**
 * Numbers kernels from 0, drawn or not. Other drawn parameters get the numbers after the last kernel, so an
 * override changes no other seed.
 */
function layerSeeds(parameters: readonly PlannedParameter[], seed: number): SeedVector[] {
  let kernel = 0
  let afterKernels = parameters.filter(({ shape }) => shape.length >= 2).length
  return parameters.map(({ shape, law }) => [
    seed,
    shape.length >= 2 ? kernel++ : isFixed(law) ? 0 : afterKernels++,
  ])
}

function defaultInitializer(
  { name, role }: Parameter,
  initializers: Specification['initializers'],
): { initializer: Initializer; field: string } {
  const specialField = name.startsWith('stem/')
    ? 'stem_kernel'
    : name.includes('/shortcut/')
      ? 'shortcut_kernel'
      : name.startsWith('head/dense/')
        ? `dense_${role}`
        : undefined
  const fields = role === 'kernel' || name === 'head/dense/bias' ? [specialField, role] : [role]
  for (const field of fields) {
    const initializer = initializers[field as keyof typeof initializers]
    if (initializer !== undefined && !Array.isArray(initializer)) return { initializer, field: String(field) }
  }
  throw new TypeError(`no initializer for ${name}`)
}

/** The initializer with its seed vector, as in records. */
export function recordedInitializer({ initializer, seed }: InitializedParameter): Initializer {
  if (!('seed' in initializer.config)) return initializer
  return { class_name: initializer.class_name, config: { ...initializer.config, seed } }
}
