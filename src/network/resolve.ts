import { fieldError } from '../errors.ts'
import { completeInitializer } from '../initializers/catalogue.ts'
import { didYouMean } from '../validation.ts'
import { presets, type Preset } from './architectures.ts'
import { articleParameters } from './article.ts'
import { preprocessings, type Preprocessing } from './preprocessing.ts'
import {
  initializerFields,
  type Architecture,
  type ArchitectureRequest,
  type InitializersRequest,
  type PoolWindow,
  type Specification,
  type SpecificationRequest,
} from './specification.ts'

/**
 * Says every field of a specification. The request has passed its schema; what is still wrong (an unknown preset or
 * initializer, fields that contradict each other) is INVALID_REQUEST with a pointer. Shapes are not looked at here.
 */
export function resolveSpecification(request: SpecificationRequest): Specification {
  const { architecture: described, preset } = describeArchitecture(request.architecture)
  const defaultClasses = preset?.classes ?? 1000
  const units = described.head?.units
  if (request.classes !== undefined && units !== undefined && request.classes !== units) {
    throw fieldError(
      '#/classes',
      `contradicts head.units (${String(units)}); give one of them, or both the same`,
    )
  }
  const classes = request.classes ?? units ?? defaultClasses
  const architecture = fillArchitecture(described, classes)
  const { labels = 'none' } = request
  if (Array.isArray(labels) && labels.length !== classes) {
    throw fieldError(
      '#/labels',
      `must have one label per class (${String(classes)}), got ${String(labels.length)}`,
    )
  }
  if (labels === 'imagenet' && classes !== 1000) {
    throw fieldError('#/labels', `imagenet labels need 1000 classes, got ${String(classes)}`)
  }
  return {
    architecture,
    classes,
    initializers: resolveInitializers(request.initializers ?? {}),
    seed: request.seed ?? 0,
    seeding: request.seeding ?? 'per_layer',
    residual_scheme: request.residual_scheme ?? 'none',
    precision: request.precision ?? 'float32',
    labels,
    preprocessing: resolvePreprocessing(
      request.preprocessing ?? preset?.preprocessing ?? 'torch',
      architecture.input_shape[2] ?? 0,
    ),
  }
}

function describeArchitecture(given: SpecificationRequest['architecture']): {
  architecture: ArchitectureRequest
  preset?: Preset
} {
  if (typeof given === 'string') {
    const preset = presetNamed(given, '#/architecture')
    return { architecture: preset.architecture, preset }
  }
  const { preset: name, ...overrides } = given
  const fields = { ...overrides, ...articleParameters(given) }
  if (name === undefined) {
    if (given.stages === undefined) {
      throw fieldError(
        '#/architecture/stages',
        'is required, unless "preset" names an architecture to start from',
      )
    }
    return { architecture: fields }
  }
  const preset = presetNamed(name, '#/architecture/preset')
  return { architecture: merge(preset.architecture, fields), preset }
}

function presetNamed(name: string, pointer: string): Preset {
  const preset = Object.hasOwn(presets, name) ? presets[name] : undefined
  if (preset) return preset
  throw fieldError(
    pointer,
    `${JSON.stringify(name)} is not a preset; ${didYouMean(name, Object.keys(presets))}`,
  )
}

/** Overrides win field by field; lists are replaced whole. */
function merge(base: ArchitectureRequest, overrides: ArchitectureRequest): ArchitectureRequest {
  const isRecord = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
  const join = (a: Record<string, unknown>, b: Record<string, unknown>): Record<string, unknown> => {
    const joined = { ...a }
    for (const [name, value] of Object.entries(b)) {
      const before = a[name]
      joined[name] = isRecord(before) && isRecord(value) ? join(before, value) : value
    }
    return joined
  }
  return join(base, overrides)
}

/** The numbers of a norm that is not there are always these, so that they tell no two networks apart. */
const NO_NORM = { type: 'none', epsilon: 1e-5, momentum: 0.9 } as const
const POOL: PoolWindow = { type: 'max', size: 3, strides: 2, padding: 'same' }

function fillArchitecture(given: ArchitectureRequest, classes: number): Architecture {
  const stages = (given.stages ?? []).map(({ blocks, filters, strides = 1 }) => ({
    blocks,
    filters,
    strides,
  }))
  const norm = typeof given.norm === 'string' ? { type: given.norm } : given.norm
  const type = norm?.type ?? 'batch'
  const stemPool = given.stem?.pool
  const shortcut = given.shortcut ?? 'projection'
  if (Array.isArray(shortcut) && shortcut.length !== stages.length) {
    throw fieldError(
      '#/architecture/shortcut',
      `must have one rule per stage (${String(stages.length)}), got ${String(shortcut.length)}`,
    )
  }
  const block = given.block ?? 'basic'
  const headPool = given.head?.pool ?? 'global_average'
  return {
    version: given.version ?? 'v1.5',
    block,
    // Without a bottleneck the expansion has no meaning, so it must not tell two equal networks apart.
    expansion: block === 'bottleneck' ? (given.expansion ?? 4) : 4,
    stem: {
      kernel_size: given.stem?.kernel_size ?? 7,
      filters: given.stem?.filters ?? 64,
      strides: given.stem?.strides ?? 2,
      padding: given.stem?.padding ?? 'same',
      pool: stemPool === null ? null : { ...POOL, ...stemPool },
    },
    stages,
    kernel_size: given.kernel_size ?? 3,
    padding: given.padding ?? 'same',
    shortcut: shortestRule(shortcut),
    use_bias: given.use_bias ?? type === 'none',
    norm:
      type === 'none' ? NO_NORM : { type, epsilon: norm?.epsilon ?? 1e-5, momentum: norm?.momentum ?? 0.9 },
    activation: given.activation ?? 'relu',
    head: {
      pool:
        headPool === 'global_average'
          ? headPool
          : { type: 'average', size: 7, strides: 1, padding: 'valid', ...headPool },
      units: classes,
    },
    input_shape: given.input_shape ?? [224, 224, 3],
  }
}

/** A list that says the same of every stage is that one rule, so that the two tell no networks apart. */
function shortestRule(shortcut: Architecture['shortcut']): Architecture['shortcut'] {
  if (!Array.isArray(shortcut)) return shortcut
  const [first] = shortcut
  return first !== undefined && shortcut.every((rule) => rule === first) ? first : shortcut
}

const DEFAULT_INITIALIZERS = {
  kernel: 'glorot_uniform',
  bias: 'zeros',
  gamma: 'ones',
  beta: 'zeros',
} as const

function resolveInitializers(given: InitializersRequest): Specification['initializers'] {
  const { overrides = [], ...named } = { ...DEFAULT_INITIALIZERS, ...given }
  const complete = (field: keyof typeof named) => {
    const reference = named[field]
    return reference === undefined
      ? {}
      : { [field]: completeInitializer(reference, `#/initializers/${field}`) }
  }
  return {
    ...Object.assign({}, ...initializerFields.map(complete)),
    overrides: overrides.map(({ match, initializer }, index) => ({
      match,
      initializer: completeInitializer(initializer, `#/initializers/overrides/${String(index)}/initializer`),
    })),
  } as Specification['initializers']
}

function resolvePreprocessing(
  given: NonNullable<SpecificationRequest['preprocessing']>,
  channels: number,
): Preprocessing {
  const fill = (value: number) => Array.from({ length: channels }, () => value)
  const plain = { scale: 1, mean: fill(0), std: fill(1), channel_order: 'rgb' as const }
  if (given === 'none') return plain
  const preprocessing = typeof given === 'string' ? preprocessings[given] : { ...plain, ...given }
  for (const field of ['mean', 'std'] as const) {
    if (preprocessing[field].length !== channels) {
      const cure = `must have one number per channel (${String(channels)}), got ${String(preprocessing[field].length)}`
      throw fieldError(typeof given === 'string' ? '#/preprocessing' : `#/preprocessing/${field}`, cure)
    }
  }
  return preprocessing
}
