import Type from 'typebox'
import { CompleteInitializer, SafeInteger, SeedPair } from '../../initializers/initializer.ts'
import { answer, named, nullable, Num } from '../../schema.ts'
import { NullableNum, NextCursor, optional } from './common.ts'

export const InitializerEntry = answer('InitializerEntry', {
  name: Type.String(),
  aliases: Type.Array(Type.String()),
  parameters: Type.Unknown({ description: 'JSON Schema of the config, with defaults' }),
  distribution: Type.String(),
  formula: Type.String(),
  reference: Type.String(),
  ranks: Type.Object({ min: Type.Integer(), max: nullable(Type.Integer()) }),
  notes: Type.String(),
})

export const InitializerList = Type.Object({
  initializers: Type.Array(InitializerEntry),
  next_cursor: NextCursor,
})
export const InitializerName = Type.Object({ name: Type.String({ description: 'Any name or alias' }) })

export const TensorRequest = named('TensorRequest', {
  shape: Type.Array(Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 }), { maxItems: 8 }),
  config: optional(Type.Record(Type.String(), Type.Unknown())),
  seed: optional(
    Type.Union([SafeInteger, SeedPair], { default: 0, description: 'n is the seed vector [n, 0]' }),
  ),
  bins: optional(Type.Integer({ minimum: 1, maximum: 4096, default: 64 })),
  include: optional(
    Type.Union([Type.Array(Type.String()), Type.String()], { description: 'histogram, quantiles' }),
  ),
})

const Theory = Type.Object({
  distribution: Type.String(),
  mean: Type.Number(),
  std: Type.Number(),
  variance: Type.Number(),
  min: NullableNum,
  max: NullableNum,
  skewness: NullableNum,
  kurtosis: NullableNum,
})

const Sample = Type.Object({
  mean: Num,
  std: Num,
  variance: Num,
  skewness: NullableNum,
  kurtosis: NullableNum,
  min: Num,
  max: Num,
  zeros: Type.Integer(),
  l2_norm: Num,
  non_finite: Type.Integer(),
  sha256: Type.String(),
})

const Tests = Type.Object({
  mean_z: Type.Number(),
  variance_z: Type.Number(),
  ks: Type.Object({ statistic: Type.Number(), p_value: Type.Number(), sample_size: Type.Integer() }),
})

const recordFields = {
  shape: Type.Array(Type.Integer()),
  size: Type.Integer(),
  dtype: Type.Literal('float32'),
  initializer: Type.Union([CompleteInitializer, Type.Null()]),
  fan_in: Type.Integer(),
  fan_out: Type.Integer(),
  theory: Type.Union([Theory, Type.Null()]),
  sample: Sample,
  tests: Type.Union([Tests, Type.Null()], { description: 'null where entries are not independent draws' }),
  exact: Type.Union([Type.Boolean(), Type.Null()], {
    description: 'Whether a constant or identity is met to the bit',
  }),
  histogram: optional(
    Type.Object({
      edges: Type.Array(Type.Number()),
      counts: Type.Array(Type.Integer()),
      expected: Type.Union([Type.Array(Type.Number()), Type.Null()]),
    }),
  ),
  quantiles: optional(Type.Record(Type.String(), Type.Number())),
  quantiles_sample_size: optional(Type.Integer()),
}

export const TensorRecord = Type.Object(recordFields, { title: 'TensorRecord' })
export const ParameterRecord = Type.Object(
  {
    name: Type.String(),
    tensor_name: Type.String(),
    ...recordFields,
  },
  { title: 'ParameterRecord' },
)
