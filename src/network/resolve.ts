import { fieldError } from '../common/errors.ts'
import { completeInitializer } from '../initializers/catalogue.ts'
import type { InitializerReference } from '../initializers/initializer.ts'
import { didYouMean } from '../common/validation.ts'
import { presets, type Preset } from './architectures.ts'
import { translateArticle } from './article.ts'
import { isRecord, withDefaults, type Json } from '../common/canonical-json.ts'
import { resolvePreprocessing } from './preprocessing.ts'
import { schemeNamed, schemeProblem, type SchemeName } from './schemes.ts'
import {
  Architecture,
  DEFAULT_CLASSES,
  initializerFields,
  Initializers,
  Specification,
  type ArchitectureRequest,
  type InitializersRequest,
  type SpecificationRequest,
} from './specification.ts'

/**
 * Fills every field of a specification. The request satisfies its schema. Throws INVALID_REQUEST with a pointer for
 * the remaining errors: an unknown preset or initializer, contradicting fields. Shapes are not checked here.
 */
export function resolveSpecification(request: SpecificationRequest): Specification {
  const { described, preset } = describeArchitecture(request.architecture)
  const units = described.head?.units
  const classes = request.classes ?? units ?? preset?.classes ?? DEFAULT_CLASSES
  if (units !== undefined && classes !== units) {
    throw fieldError(
      '#/classes',
      `contradicts head.units (${String(units)}); give one of them, or equal values`,
    )
  }
  const architecture = fillArchitecture(described, classes, request.residual_scheme)
  const specification = withDefaults(Specification, {
    ...request,
    architecture,
    classes,
    initializers: resolveInitializers(request.initializers, request.residual_scheme),
    preprocessing: resolvePreprocessing(
      request.preprocessing ?? preset?.preprocessing ?? 'torch',
      architecture.input_shape,
    ),
  }) as Specification
  checkScheme(specification)
  checkLabels(specification)
  checkSeed(specification)
  return specification
}

/** An architecture request with the norm as an object. */
type Described = Omit<ArchitectureRequest, 'norm'> & {
  readonly norm?: Exclude<NonNullable<ArchitectureRequest['norm']>, string>
}

function describeArchitecture(given: SpecificationRequest['architecture']): {
  readonly described: Described
  readonly preset?: Preset
} {
  if (typeof given === 'string') return fromPreset(given, '#/architecture', {})
  const { preset, ...overrides } = given
  const described = inLongForm(translateArticle(given))
  if (preset !== undefined) return fromPreset(preset, '#/architecture/preset', described)
  if (overrides.stages !== undefined) return { described }
  throw fieldError('#/architecture/stages', 'is required without "preset"')
}

function fromPreset(name: string, pointer: string, overrides: Described) {
  const preset = Object.hasOwn(presets, name) ? presets[name] : undefined
  if (preset) return { described: merge(inLongForm(preset.architecture), overrides), preset }
  throw fieldError(
    pointer,
    `${JSON.stringify(name)} is not a preset; ${didYouMean(name, Object.keys(presets))}`,
  )
}

/** Expands a norm given as a string. Its numbers are the preset's, or the defaults. */
function inLongForm({ norm, ...described }: ArchitectureRequest): Described {
  if (norm === undefined) return described
  return { ...described, norm: typeof norm === 'string' ? { type: norm } : norm }
}

/** Merges field by field; lists are replaced as a whole. */
function merge(base: Described, overrides: Described): Described {
  const join = (a: Json, b: Json): Json => {
    const joined: Record<string, unknown> = { ...a }
    for (const [name, value] of Object.entries(b)) {
      const before = a[name]
      joined[name] = isRecord(before) && isRecord(value) ? join(before, value) : value
    }
    return joined
  }
  return join(base, overrides)
}

/** Sets fields without effect to their defaults, so that equal networks have equal specifications. */
function fillArchitecture(described: Described, classes: number, scheme: SchemeName = 'none'): Architecture {
  const { version, block, expansion, norm, head, shortcut, stages = [] } = described
  if (Array.isArray(shortcut) && shortcut.length !== stages.length) {
    throw fieldError(
      '#/architecture/shortcut',
      `must have one rule per stage (${String(stages.length)}), got ${String(shortcut.length)}`,
    )
  }
  const normless = norm?.type === 'none'
  // A scheme with shifts has scalars before and after every convolution; they act as its biases.
  const { use_bias: biases = normless && !schemeNamed(scheme).shifts } = described
  const stepsLate = stages.some(({ blocks, strides = 1 }) => blocks > 1 && strides > 1)
  return withDefaults(Architecture, {
    ...described,
    // 'unnormed' means true without norms, and false where every convolution has a norm of its own.
    use_bias: biases === 'unnormed' && (normless || version !== 'v2') ? normless : biases,
    strides_in: stepsLate ? described.strides_in : undefined,
    expansion: block === 'bottleneck' ? expansion : undefined,
    norm: normless ? { type: 'none' } : norm,
    head: { ...head, units: classes },
    shortcut: shortestRule(shortcut),
  }) as Architecture
}

/** A list with one rule for all stages is that rule. */
function shortestRule(shortcut: Described['shortcut']): Described['shortcut'] {
  if (!Array.isArray(shortcut)) return shortcut
  const [first] = shortcut
  return first !== undefined && shortcut.every((rule) => rule === first) ? first : shortcut
}

function resolveInitializers(given: InitializersRequest = {}, scheme: SchemeName = 'none'): Initializers {
  const schemeInitializers = schemeNamed(scheme).initializers as InitializersRequest | undefined
  const named = {
    ...(withDefaults(Initializers, {}) as InitializersRequest),
    ...schemeInitializers,
    ...given,
  }
  const complete = (reference: InitializerReference, field: string) =>
    completeInitializer(reference, `#/initializers/${field}`)
  const fields = initializerFields.flatMap((field) => {
    const reference = named[field]
    return reference === undefined ? [] : [[field, complete(reference, field)]]
  })
  return {
    ...(Object.fromEntries(fields) as Omit<Initializers, 'overrides'>),
    overrides: (named.overrides ?? []).map(({ match, initializer }, index) => ({
      match,
      initializer: complete(initializer, `overrides/${String(index)}/initializer`),
    })),
  }
}

function checkScheme({ residual_scheme, architecture }: Specification): void {
  const problem = schemeProblem(residual_scheme, architecture)
  if (problem !== undefined) throw fieldError('#/residual_scheme', problem)
}

/** Limits of `keras.utils.set_random_seed`, which seeds numpy too. */
function checkSeed({ seeding, seed }: Specification): void {
  if (seeding !== 'keras' || (seed >= 0 && seed < 2 ** 32)) return
  throw fieldError(
    '#/seed',
    `must be 0 to ${String(2 ** 32 - 1)} with "seeding": "keras", the range of keras.utils.set_random_seed; got ${String(seed)}`,
  )
}

function checkLabels({ labels, classes }: Specification): void {
  if (labels === 'imagenet' && classes !== 1000)
    throw fieldError('#/labels', `imagenet labels need 1000 classes, got ${String(classes)}`)
  if (!Array.isArray(labels)) return
  if (labels.length !== classes) {
    throw fieldError(
      '#/labels',
      `must have one label per class (${String(classes)}), got ${String(labels.length)}`,
    )
  }
  // An ill-formed string has no UTF-8 form, which ids and responses need.
  const broken = labels.findIndex((label) => !label.isWellFormed())
  if (broken >= 0) throw fieldError(`#/labels/${String(broken)}`, 'must be well-formed Unicode')
}
