import Type from 'typebox'
import { FittedWeights as Fitted, LayerScale, ModelStatistics as Measured } from '../../analysis/contract.ts'
import { CompleteInitializer } from '../../initializers/initializer.ts'
import { schemeNames } from '../../network/schemes.ts'
import { layouts } from '../../network/layouts.ts'
import { Specification, specificationFields } from '../../network/specification.ts'
import { WeightsSpecification } from '../../serving/models/weights-specification.ts'
import { LoadedFrom } from '../../serving/models/records.ts'
import { answer, closed, named, nullable } from '../../common/schema.ts'
import { Bytes, NextCursor, optional } from './schema-parts.ts'
import { ParameterRecord } from './initializer-schemas.ts'

export const ModelReference = Type.Object({
  model: Type.String({ description: 'A name, an id, or a unique id prefix of at least 12 characters' }),
})
export const DeleteQuery = closed({
  model: optional(
    Type.Boolean({ default: false, description: 'true removes the model of a name, with all its names' }),
  ),
})
export const ModelName = Type.Object({ model: Type.String({ description: 'A name' }) })

export const VersionedReference = Type.Object({
  ...ModelReference.properties,
  version: Type.String({ pattern: '^[0-9]{1,19}$', description: 'Always "1"' }),
})

const Name = Type.String({
  description: 'Letters, digits, ".", "_", "-"; 409 if it belongs to another model',
})

export const CreateRequest = named('CreateRequest', { ...specificationFields, name: optional(Name) })
export const CreationHeaders = Type.Object({
  Prefer: optional(Type.String({ description: 'respond-async: answers 202 at once, with state "building"' })),
})
/** The specification of a form with weights: fields that it lacks follow from the files. */
export const FormSpecification = named('FormSpecification', {
  ...WeightsSpecification.properties,
  name: optional(Name),
})
export const LoadRequest = named('LoadOptions', {
  missing: optional(
    Type.Enum(['error', 'initialize'], {
      default: 'error',
      description:
        "initialize: parameters that the file lacks, and a head of another shape, are drawn by the specification's initializers, with the same values as in a model without a file",
    }),
  ),
  extra: optional(
    Type.Enum(['error', 'ignore'], {
      default: 'error',
      description: 'ignore: tensors of the file that the network lacks are not loaded',
    }),
  ),
  prefix: optional(
    Type.String({
      maxLength: 256,
      default: 'auto',
      description: 'Prefix to remove from all names; auto: the one that all tensors share, such as module.',
    }),
  ),
})
export const CreateForm = Type.Object(
  {
    spec: optional(FormSpecification),
    config: optional(
      Type.Unsafe<unknown>({
        type: 'object',
        description:
          'config.json of timm or transformers; supplies what `spec` lacks: architecture, size, preprocessing, labels',
      }),
    ),
    preprocessor_config: optional(
      Type.Unsafe<unknown>({
        type: 'object',
        description:
          'preprocessor_config.json of transformers; also accepted as a second `config` with that file name',
      }),
    ),
    load: optional(LoadRequest),
    weights: optional(
      Type.Array(
        Bytes(
          'safetensors, PyTorch .pth, .pt or .bin (zip), Keras .h5, .weights.h5 or .keras, tfjs model.json; detected from the first bytes',
        ),
        { description: 'One file, or an index and all its shards, whose file names match the index' },
      ),
    ),
    images: optional(Type.Array(Bytes())),
  },
  {
    description:
      'JSON parts in any order, then `weights`, or any number of `images` if residual_scheme is lsuv. Without `spec` and `config` the specification follows from the names and shapes of the tensors',
  },
)
/** A specification, or the id of an existing model. */
export const NameRequest = named('NameRequest', {
  ...Type.Partial(Type.Object(specificationFields)).properties,
  id: optional(Type.String()),
})

const SchemeName = Type.Enum(schemeNames.filter((name) => name !== 'none'))
const SchemeFields = {
  name: SchemeName,
  paper: Type.String(),
  statistic: Type.String({ description: 'The statistic that shows its effect before training' }),
}

export const VersionStatus = Type.Object({
  version: Type.String(),
  state: Type.String(),
  status: Type.Object({ error_code: Type.String(), error_message: Type.String() }),
})

export const Model = answer('Model', {
  id: Type.String({
    description:
      'SHA-256 of the canonical specification (and the digest of loaded weights, or the factors measured with images)',
  }),
  names: Type.Array(Type.String()),
  state: Type.Enum(['building', 'ready', 'unloaded', 'failed']),
  ready: Type.Boolean({ description: "Whether state is ready, for clients of KServe's V1 protocol" }),
  last_error: nullable(Type.Object({ code: Type.String(), detail: Type.String() })),
  spec: Specification,
  weights: Type.Enum(['initialized', 'loaded']),
  loaded: optional(
    Type.Object(LoadedFrom.properties, {
      description: 'Origin of loaded weights; absent for models of older versions',
    }),
  ),
  scheme: nullable(
    Type.Object({
      ...SchemeFields,
      measured: nullable(Type.Array(LayerScale), {
        description: 'Factors that lsuv measured; null before, and for other schemes',
      }),
    }),
    { description: 'The residual scheme; null for none' },
  ),
  seal: nullable(Type.String()),
  weights_sha256: nullable(Type.String()),
  parameter_count: Type.Integer(),
  multiply_adds: Type.Integer(),
  size_bytes: Type.Integer(),
  artifact_bytes: nullable(Type.Integer()),
  created_at: Type.String(),
  build_ms: nullable(Type.Integer()),
  engine: Type.Object({ backend: Type.String(), device: Type.String(), library_version: Type.String() }),
  model_version_status: Type.Array(VersionStatus),
  advice: Type.Array(Type.String()),
})
export const ModelList = Type.Object({ models: Type.Array(Model), next_cursor: NextCursor })

export const Plan = answer('Plan', {
  id: Type.String(),
  spec: Specification,
  layers: Type.Array(
    Type.Object({
      name: Type.String(),
      op: Type.String(),
      output_shape: Type.Array(Type.Integer()),
      parameters: Type.Array(
        Type.Object({
          name: Type.String(),
          shape: Type.Array(Type.Integer()),
          initializer: nullable(CompleteInitializer),
          factor: optional(Type.Number({ description: 'Factor of the residual scheme' })),
        }),
      ),
      multiply_adds: Type.Integer(),
    }),
  ),
  totals: Type.Object({ parameters: Type.Integer(), multiply_adds: Type.Integer(), bytes: Type.Integer() }),
  advice: Type.Array(Type.String()),
})

export const ResidualSchemeList = Type.Object({
  residual_schemes: Type.Array(
    Type.Object({
      ...SchemeFields,
      norm: Type.Enum(['batch', 'none'], { description: 'The norm that it requires' }),
      versions: Type.Array(Type.String()),
      effect: Type.String(),
      multiplier: nullable(Type.Number(), {
        description: 'Initial value of the scalar at the end of each branch',
      }),
    }),
  ),
  next_cursor: NextCursor,
})

export const ArchitectureList = Type.Object({
  architectures: Type.Array(
    Type.Object({
      name: Type.String(),
      summary: Type.String(),
      spec: Specification,
      input_shape: Type.Array(Type.Integer()),
      parameters: Type.Integer(),
      multiply_adds: Type.Integer(),
    }),
  ),
  next_cursor: NextCursor,
})

const Glob = optional(Type.String({ minLength: 1, maxLength: 256, description: 'Glob of parameter names' }))

export const StatisticsQuery = closed({
  parameters: Glob,
  include: optional(
    Type.String({ description: 'histogram, quantiles, spectrum, operator_spectrum; separated by commas' }),
  ),
  relative_to: optional(Type.String({ description: 'A model with the same parameters, for comparison' })),
  bins: optional(Type.Integer({ minimum: 1, maximum: 4096, default: 64 })),
})

export const ModelStatistics = answer('ModelStatistics', {
  model: Type.String(),
  weights: Type.Enum(['initialized', 'loaded']),
  relative_to: optional(Type.String({ description: 'Id of the model for comparison' })),
  ...Measured.properties,
  parameters: Type.Array(ParameterRecord),
})

export const FitQuery = closed({
  layout: optional(
    Type.Enum(['keras', 'torch'], {
      description: 'Memory layout of kernels; by default derived from the names of the tensors',
    }),
  ),
})
export const FittedWeights = answer('FittedWeights', Fitted.properties)

export const WeightsQuery = closed({
  parameters: Glob,
  names: optional(Type.Enum(layouts, { default: 'resinit', description: 'Naming and axis order' })),
})
