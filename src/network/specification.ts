import Type, { type Static, type TProperties, type TSchema } from 'typebox'
import {
  CompleteInitializer,
  InitializerReference,
  NAME_LENGTH,
  SafeInteger,
} from '../initializers/initializer.ts'
import { closed, named, nullable } from '../common/schema.ts'
import { Preprocessing, PreprocessingRequest, preprocessings } from './preprocessing.ts'
import { schemeNames } from './schemes.ts'

/* Defaults are defined here only. They fill missing fields of a request, and the canonical form omits them. */
const size = (value: number, description: string) =>
  Type.Integer({ minimum: 1, maximum: 65536, default: value, description })
const nonEmptyList = <S extends TSchema>(type: S, description?: string) =>
  Type.Array(type, { minItems: 1, maxItems: 64, ...(description !== undefined && { description }) })
const partial = <P extends TProperties>(properties: P) =>
  Type.Partial(Type.Object(properties), { additionalProperties: false })
/** A record that is filled with the defaults of its fields if it is missing. */
const filled = <P extends TProperties>(properties: P) => Type.With(closed(properties), { default: {} })

const poolTypes = ['max', 'average'] as const
const poolPaddings = ['same', 'symmetric', 'valid'] as const
const Pool = closed({
  type: Type.Enum(poolTypes, { default: 'max' }),
  size: size(3, 'Window'),
  strides: size(2, 'Strides'),
  padding: Type.Enum(poolPaddings, { default: 'same' }),
})

const stem = {
  kernel_size: size(7, 'Window of the first convolution'),
  filters: size(64, 'Filters of the first convolution'),
  strides: size(2, 'Strides of the first convolution'),
  padding: Type.Enum(['same', 'symmetric'], { default: 'same' }),
}

const stage = {
  blocks: Type.Integer({ minimum: 1, maximum: 256 }),
  filters: Type.Integer({ minimum: 1, maximum: 65536 }),
}
const strides = size(1, 'Strides of the block of the stage that `strides_in` selects')

const ShortcutRule = Type.Enum(['projection', 'pool', 'always', 'never'])

const normTypes = ['batch', 'none'] as const
const norm = {
  type: Type.Enum(normTypes, { default: 'batch' }),
  epsilon: Type.Number({ exclusiveMinimum: 0, default: 1e-5 }),
  momentum: Type.Number({ minimum: 0, maximum: 1, default: 0.9 }),
}

export const DEFAULT_CLASSES = 1000
const count = { minimum: 1, maximum: 1_000_000 }
const headPool = {
  type: Type.Enum(poolTypes, { default: 'average' }),
  size: size(7, 'Window'),
  strides: size(1, 'Strides'),
  padding: Type.Enum(poolPaddings, { default: 'valid' }),
}
const headWith = <S extends TSchema>(pool: S) => ({
  pool: Type.Union([Type.Enum(['global_average']), pool], { default: 'global_average' }),
  units: Type.Integer({ ...count, default: DEFAULT_CLASSES, description: 'Equals `classes`' }),
})

const architecture = {
  version: Type.Enum(['v1', 'v1.5', 'v2'], {
    default: 'v1.5',
    description:
      "Position of a bottleneck's strides: v1 in the first 1x1 convolution, v1.5 in the 3x3; v2 is pre-activation",
  }),
  block: Type.Enum(['basic', 'bottleneck'], { default: 'basic' }),
  expansion: Type.Integer({
    minimum: 1,
    maximum: 64,
    default: 4,
    description: "Bottleneck only: ratio of a block's output channels to the stage's filters",
  }),
  strides_in: Type.Enum(['first', 'last'], {
    default: 'first',
    description:
      "The block of each stage that uses the stage's strides: the first or the last; Keras's v2 applications use the last",
  }),
  kernel_size: size(3, "Window of the blocks' convolutions"),
  padding: Type.Enum(['same', 'symmetric'], {
    default: 'same',
    description: 'same: as TensorFlow pads; symmetric: as torchvision and Keras applications pad',
  }),
  shortcut: Type.Union([ShortcutRule, nonEmptyList(ShortcutRule)], {
    default: 'projection',
    description:
      'Shortcuts with a 1x1 convolution. projection: where the shape changes; pool: where the number of channels changes, with a 1x1 max pool where only the size changes; always: in every block; never: in no block. A list has one rule per stage',
  }),
  use_bias: Type.Union([Type.Boolean(), Type.Enum(['unnormed'])], {
    default: false,
    description:
      'Biases of convolutions; unnormed: except where only a norm reads the convolution. The default is true if norm is none and the scheme is not fixup, else false',
  }),
  activation: Type.Enum(['relu'], { default: 'relu', description: 'The activation of all layers' }),
  input_shape: Type.Array(Type.Integer({ minimum: 1, maximum: 8192 }), {
    minItems: 3,
    maxItems: 3,
    default: [224, 224, 3],
    description: 'Height, width, channels',
  }),
}

export const Architecture = named('Architecture', {
  ...architecture,
  stem: filled({ ...stem, pool: Type.Union([Type.Null(), Pool], { default: {} }) }),
  stages: Type.Array(closed({ ...stage, strides })),
  norm: filled(norm),
  head: filled(headWith(closed(headPool))),
})

/**
 * A preset with overrides, or a full description. The preset `residual_network` also accepts `filters`, `strides` and
 * `projection_shortcut` (`article.ts`).
 */
const ArchitectureRequest = named('ArchitectureRequest', {
  ...partial({
    preset: Type.String(NAME_LENGTH),
    ...architecture,
    stem: partial({ ...stem, pool: nullable(partial(Pool.properties)) }),
    stages: nonEmptyList(closed({ ...stage, strides: Type.Optional(strides) })),
    norm: Type.Union([Type.Enum(normTypes), partial(norm)]),
    head: partial(headWith(partial(headPool))),
    filters: nonEmptyList(stage.filters, 'residual_network only'),
    strides: nonEmptyList(strides, 'residual_network only'),
    projection_shortcut: Type.Union([Type.Enum(['auto']), Type.Boolean(), nonEmptyList(Type.Boolean())], {
      description: 'residual_network only; auto: a projection if the shape changes',
    }),
  }).properties,
})

/** Fields of `initializers`. A resolved specification always has the first four. */
export const initializerFields = [
  ...(['kernel', 'bias', 'gamma', 'beta'] as const),
  ...(['stem_kernel', 'shortcut_kernel', 'dense_kernel', 'dense_bias'] as const),
] as const

const each = <S extends TSchema>(type: S) =>
  Object.fromEntries(initializerFields.map((field) => [field, type])) as Record<
    (typeof initializerFields)[number],
    S
  >
const overridesWith = <S extends TSchema>(initializer: S) =>
  Type.Array(closed({ match: Type.String({ minLength: 1, maxLength: 256 }), initializer }), {
    maxItems: 64,
    default: [],
    description:
      'Initializers by parameter name; the last match wins. * matches within a segment, ** across segments',
  })
const always = (class_name: string) =>
  Type.Object(CompleteInitializer.properties, { default: { class_name, config: {} } })

const InitializersRequest = named('InitializersRequest', {
  ...partial({ ...each(InitializerReference), overrides: overridesWith(InitializerReference) }).properties,
})

export const Initializers = named('Initializers', {
  ...partial(each(CompleteInitializer)).properties,
  ...{ kernel: always('GlorotUniform'), bias: always('Zeros'), gamma: always('Ones'), beta: always('Zeros') },
  overrides: overridesWith(CompleteInitializer),
})

const common = {
  seed: Type.Integer({ ...SafeInteger, default: 0 }),
  seeding: Type.Enum(['per_layer', 'keras'], {
    default: 'per_layer',
    description:
      'per_layer: kernel k draws from the seed vector [seed, k]; keras: the seeds after keras.utils.set_random_seed(seed)',
  }),
  residual_scheme: Type.Enum([...schemeNames], {
    default: 'none',
    description:
      'Initialization of the residual branches; GET /v1/residual-schemes describes each scheme and the norm it needs',
  }),
  precision: Type.Enum(['float32', 'bfloat16'], {
    default: 'float32',
    description: 'Precision of convolutions; parameters are always float32',
  }),
  labels: Type.Union(
    [Type.Enum(['none', 'imagenet']), Type.Array(Type.String({ maxLength: 256 }), { minItems: 1 })],
    { default: 'none' },
  ),
}

export const specificationFields = {
  architecture: Type.Union([
    Type.String({ ...NAME_LENGTH, description: 'Name of a preset' }),
    ArchitectureRequest,
  ]),
  ...partial({
    classes: Type.Integer({ ...count, description: 'The default is 1000, and 10 for the 32x32 presets' }),
    initializers: InitializersRequest,
    ...common,
    preprocessing: PreprocessingRequest,
  }).properties,
}

/** The specification in a request. */
export const SpecificationRequest = named('SpecificationRequest', specificationFields)
export type SpecificationRequest = Static<typeof SpecificationRequest>
export type ArchitectureRequest = Static<typeof ArchitectureRequest>
export type InitializersRequest = Static<typeof InitializersRequest>

/** A specification with every field. It alone determines all weights and predictions. */
export const Specification = named('Specification', {
  architecture: Architecture,
  classes: Type.Integer({ ...count, default: DEFAULT_CLASSES }),
  initializers: Type.With(Initializers, { default: {} }),
  ...common,
  preprocessing: Type.With(Preprocessing, { default: preprocessings.torch }),
})
export type Initializers = Static<typeof Initializers>
export type Specification = Static<typeof Specification>
export type Architecture = Static<typeof Architecture>
export type ShortcutRule = Static<typeof ShortcutRule>
export type PoolWindow = Static<typeof Pool>
