import Type from 'typebox'
import { answer } from '../../common/schema.ts'
import { optional } from '../shared/schema-parts.ts'

const Parameters = Type.Record(
  Type.String(),
  Type.Unsafe<string | number | boolean>({ type: ['string', 'number', 'boolean'] }),
)
const Shape = Type.Array(Type.Integer())
const Data = Type.Unsafe<readonly unknown[]>({
  type: 'array',
  description: 'Flat or nested, in row-major order',
})
const Tensor = {
  name: Type.String(),
  shape: Shape,
  datatype: Type.String(),
  parameters: optional(Parameters),
  data: optional(Data),
}

export const InferRequest = answer('InferRequest', {
  id: optional(Type.String()),
  parameters: optional(Parameters),
  inputs: Type.Array(Type.Object(Tensor)),
  outputs: optional(Type.Array(Type.Object({ name: Type.String(), parameters: optional(Parameters) }))),
})

export const InferResponse = answer('InferResponse', {
  model_name: Type.String(),
  model_version: Type.String(),
  id: optional(Type.String()),
  outputs: Type.Array(Type.Object(Tensor)),
})

export const ServerMetadata = answer('ServerMetadata', {
  name: Type.String(),
  version: Type.String(),
  extensions: Type.Array(Type.String()),
})

const TensorMetadata = Type.Object({ name: Type.String(), datatype: Type.String(), shape: Shape })
export const ModelMetadata = answer('ModelMetadata', {
  name: Type.String(),
  versions: Type.Array(Type.String()),
  platform: Type.String(),
  inputs: Type.Array(TensorMetadata),
  outputs: Type.Array(TensorMetadata),
})

const TensorConfig = { name: Type.String(), data_type: Type.String(), dims: Shape }
export const ModelConfig = answer('ModelConfig', {
  name: Type.String(),
  platform: Type.String(),
  backend: Type.String(),
  max_batch_size: Type.Integer({ description: 'Always 0: shapes include the batch dimension' }),
  input: Type.Array(
    Type.Object({
      ...TensorConfig,
      format: Type.String(),
      optional: Type.Boolean(),
    }),
  ),
  output: Type.Array(Type.Object(TensorConfig)),
  dynamic_batching: Type.Object({}),
  parameters: Type.Object({ MAX_BATCH_SIZE: Type.Object({ string_value: Type.String() }) }),
})

export const ModelNames = answer('ModelNames', { models: Type.Array(Type.String()) })
export const ModelReady = answer('ModelReady', { name: Type.String(), ready: Type.Boolean() })

export const RepositoryIndex = Type.Array(
  answer('RepositoryModel', {
    name: Type.String(),
    version: Type.String(),
    state: Type.Enum(['READY', 'UNAVAILABLE', 'LOADING']),
    reason: Type.String(),
  }),
)

const Duration = answer('StatisticDuration', { count: Type.Integer(), ns: Type.Integer() })
export const InferenceStatistics = answer('InferenceStatistics', {
  model_stats: Type.Array(
    Type.Object({
      name: Type.String(),
      version: Type.String(),
      last_inference: Type.Integer({ description: 'Unix time in ms; 0 before the first inference' }),
      inference_count: Type.Integer(),
      execution_count: Type.Integer(),
      inference_stats: Type.Object({
        ...{ success: Duration, fail: Duration, queue: Duration },
        ...{ compute_input: Duration, compute_infer: Duration, compute_output: Duration },
        ...{ cache_hit: Duration, cache_miss: Duration },
      }),
      batch_stats: Type.Array(
        Type.Object({
          batch_size: Type.Integer(),
          ...{ compute_input: Duration, compute_infer: Duration, compute_output: Duration },
        }),
      ),
    }),
  ),
})
