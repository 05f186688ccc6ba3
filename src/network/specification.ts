import Type, { type Static } from 'typebox'
import { SafeInteger } from '../initializers/initializer.ts'

const closed = { additionalProperties: false }
const size = (value: number, description: string) =>
  Type.Integer({ minimum: 1, maximum: 65536, default: value, description })

const Pool = Type.Object(
  {
    type: Type.Enum(['max', 'average'], { default: 'max' }),
    size: size(3, 'Window'),
    strides: size(2, 'Step'),
    padding: Type.Enum(['same', 'symmetric', 'valid'], { default: 'same' }),
  },
  closed,
)

const Stem = Type.Object(
  {
    kernel_size: size(7, 'Window of the first convolution'),
    filters: size(64, 'Its filters'),
    strides: size(2, 'Its step'),
    padding: Type.Enum(['same', 'symmetric'], { default: 'same' }),
    pool: Type.Union([Type.Null(), Pool]),
  },
  closed,
)

const Stage = Type.Object(
  {
    blocks: Type.Integer({ minimum: 1, maximum: 256 }),
    filters: Type.Integer({ minimum: 1, maximum: 65536 }),
    strides: size(1, "Step of the stage's first block"),
  },
  closed,
)

const ShortcutRule = Type.Enum(['projection', 'always', 'never'])

const BatchNorm = Type.Object(
  {
    type: Type.Enum(['batch', 'none'], { default: 'batch' }),
    epsilon: Type.Number({ exclusiveMinimum: 0, default: 1e-5 }),
    momentum: Type.Number({ minimum: 0, maximum: 1, default: 0.9 }),
  },
  closed,
)

const HeadPool = Type.Union([Type.Enum(['global_average']), Type.Partial(Pool, closed)])

const Head = Type.Object(
  {
    pool: HeadPool,
    units: Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      default: 1000,
      description: 'Filled by `classes`',
    }),
  },
  closed,
)

/** The fields of a full architecture. A client may leave out all but `stages`. */
const architectureFields = {
  version: Type.Enum(['v1', 'v1.5', 'v2'], {
    default: 'v1.5',
    description: 'Where a bottleneck steps: v1 in its first 1x1, v1.5 in the 3x3; v2 is pre-activation',
  }),
  block: Type.Enum(['basic', 'bottleneck'], { default: 'basic' }),
  expansion: Type.Integer({
    minimum: 1,
    maximum: 64,
    default: 4,
    description: "Bottleneck only: outer width over a stage's filters",
  }),
  kernel_size: size(3, "Window of the blocks' convolutions"),
  padding: Type.Enum(['same', 'symmetric'], {
    default: 'same',
    description: 'same as TensorFlow pads, symmetric as torchvision and Keras applications do',
  }),
  shortcut: Type.Union([ShortcutRule, Type.Array(ShortcutRule, { minItems: 1, maxItems: 64 })], {
    default: 'projection',
    description: 'A 1x1 convolution where shapes change, always or never; or one rule per stage',
  }),
  use_bias: Type.Boolean({
    default: false,
    description: 'Biases on convolutions; default true when norm is none',
  }),
  activation: Type.Enum(['relu'], { default: 'relu' }),
  input_shape: Type.Array(Type.Integer({ minimum: 1, maximum: 8192 }), {
    minItems: 3,
    maxItems: 3,
    default: [224, 224, 3],
    description: 'Height, width, channels',
  }),
}

export const Architecture = Type.Object(
  { ...architectureFields, stem: Stem, stages: Type.Array(Stage), norm: BatchNorm, head: Head },
  { ...closed, title: 'Architecture' },
)

/** A preset with overrides, or a full description; with `residual_network` also the article's own parameters. */
const ArchitectureRequest = Type.Object(
  {
    preset: Type.Optional(Type.String()),
    ...Type.Partial(Type.Object(architectureFields)).properties,
    stem: Type.Optional(
      Type.Partial(
        Type.Object({ ...Stem.properties, pool: Type.Union([Type.Null(), Type.Partial(Pool, closed)]) }),
        closed,
      ),
    ),
    stages: Type.Optional(
      Type.Array(
        Type.Object({ ...Stage.properties, strides: Type.Optional(Stage.properties.strides) }, closed),
        {
          minItems: 1,
          maxItems: 64,
        },
      ),
    ),
    norm: Type.Optional(Type.Union([Type.Enum(['batch', 'none']), Type.Partial(BatchNorm, closed)])),
    head: Type.Optional(Type.Partial(Head, closed)),
    filters: Type.Optional(
      Type.Array(Stage.properties.filters, {
        minItems: 1,
        maxItems: 64,
        description: 'residual_network only',
      }),
    ),
    strides: Type.Optional(
      Type.Array(Stage.properties.strides, {
        minItems: 1,
        maxItems: 64,
        description: 'residual_network only',
      }),
    ),
    projection_shortcut: Type.Optional(
      Type.Union(
        [Type.Enum(['auto']), Type.Boolean(), Type.Array(Type.Boolean(), { minItems: 1, maxItems: 64 })],
        {
          description: 'residual_network only: auto projects where shapes change',
        },
      ),
    ),
  },
  { ...closed, title: 'ArchitectureRequest' },
)

const InitializerReference = Type.Union(
  [
    Type.String({ description: 'Any name of the catalogue' }),
    Type.Object(
      {
        class_name: Type.String(),
        config: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
        module: Type.Optional(Type.Union([Type.String(), Type.Null()])),
        registered_name: Type.Optional(Type.Union([Type.String(), Type.Null()])),
      },
      closed,
    ),
  ],
  { title: 'InitializerReference' },
)

export const CompleteInitializer = Type.Object(
  {
    class_name: Type.String(),
    config: Type.Record(Type.String(), Type.Unknown()),
  },
  { title: 'CompleteInitializer' },
)

/** Which initializer fields there are; the first four are always set in a resolved specification. */
export const initializerFields = [
  'kernel',
  'bias',
  'gamma',
  'beta',
  'stem_kernel',
  'shortcut_kernel',
  'dense_kernel',
  'dense_bias',
] as const

const InitializersRequest = Type.Object(
  {
    kernel: Type.Optional(InitializerReference),
    bias: Type.Optional(InitializerReference),
    gamma: Type.Optional(InitializerReference),
    beta: Type.Optional(InitializerReference),
    stem_kernel: Type.Optional(InitializerReference),
    shortcut_kernel: Type.Optional(InitializerReference),
    dense_kernel: Type.Optional(InitializerReference),
    dense_bias: Type.Optional(InitializerReference),
    overrides: Type.Optional(
      Type.Array(
        Type.Object(
          { match: Type.String({ minLength: 1, maxLength: 256 }), initializer: InitializerReference },
          closed,
        ),
        {
          maxItems: 64,
          description: 'By parameter name; the last match wins. * stays within a segment, ** does not',
        },
      ),
    ),
  },
  { ...closed, title: 'InitializersRequest' },
)

const Initializers = Type.Object(
  {
    kernel: CompleteInitializer,
    bias: CompleteInitializer,
    gamma: CompleteInitializer,
    beta: CompleteInitializer,
    stem_kernel: Type.Optional(CompleteInitializer),
    shortcut_kernel: Type.Optional(CompleteInitializer),
    dense_kernel: Type.Optional(CompleteInitializer),
    dense_bias: Type.Optional(CompleteInitializer),
    overrides: Type.Array(Type.Object({ match: Type.String(), initializer: CompleteInitializer })),
  },
  { ...closed, title: 'Initializers' },
)

const Preprocessing = Type.Object(
  {
    scale: Type.Number({ default: 1 }),
    mean: Type.Array(Type.Number(), { default: [0, 0, 0] }),
    std: Type.Array(Type.Number({ exclusiveMinimum: 0 }), { default: [1, 1, 1] }),
    channel_order: Type.Enum(['rgb', 'bgr'], { default: 'rgb' }),
  },
  closed,
)

const common = {
  seed: Type.Integer({ ...SafeInteger, default: 0 }),
  seeding: Type.Enum(['per_layer'], {
    default: 'per_layer',
    description: 'Kernel k draws from the seed vector [seed, k]',
  }),
  residual_scheme: Type.Enum(['none'], { default: 'none' }),
  precision: Type.Enum(['float32'], { default: 'float32' }),
  labels: Type.Union(
    [Type.Enum(['none', 'imagenet']), Type.Array(Type.String({ maxLength: 256 }), { minItems: 1 })],
    {
      default: 'none',
    },
  ),
}

const classes = Type.Integer({
  minimum: 1,
  maximum: 1_000_000,
  description: 'Default 1000; 10 for the 32x32 presets',
})
const PreprocessingName = Type.Enum(['torch', 'caffe', 'tf', 'unit', 'none'])

export const specificationFields = {
  architecture: Type.Union([Type.String({ description: 'A preset' }), ArchitectureRequest]),
  classes: Type.Optional(classes),
  initializers: Type.Optional(InitializersRequest),
  ...Type.Partial(Type.Object(common)).properties,
  preprocessing: Type.Optional(Type.Union([PreprocessingName, Type.Partial(Preprocessing, closed)])),
}

/** What a client sends. */
export const SpecificationRequest = Type.Object(specificationFields, {
  ...closed,
  title: 'SpecificationRequest',
})
export type SpecificationRequest = Static<typeof SpecificationRequest>
export type ArchitectureRequest = Static<typeof ArchitectureRequest>
export type InitializersRequest = Static<typeof InitializersRequest>

/** A specification with every field said: what decides every weight and every answer, and nothing else does. */
export const Specification = Type.Object(
  {
    architecture: Architecture,
    classes,
    initializers: Initializers,
    ...common,
    preprocessing: Preprocessing,
  },
  { ...closed, title: 'Specification' },
)
export type Specification = Static<typeof Specification>
export type Architecture = Static<typeof Architecture>
export type ShortcutRule = Static<typeof ShortcutRule>
export type PoolWindow = Static<typeof Pool>
