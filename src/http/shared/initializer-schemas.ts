import Type from 'typebox'
import { ParameterStatistics, TensorStatistics } from '../../analysis/contract.ts'
import { SafeInteger, SeedPair } from '../../initializers/initializer.ts'
import { answer, named, nullable, Num } from '../../common/schema.ts'
import { NextCursor, optional } from './schema-parts.ts'

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
    Type.Union([Type.Array(Type.String()), Type.String()], {
      description: 'histogram, quantiles, spectrum, operator_spectrum',
    }),
  ),
})

export const SampledTensor = answer('SampledTensor', {
  shape: Type.Array(Type.Integer()),
  dtype: Type.Literal('float32'),
  values: Type.Array(Num, { description: 'In row-major order' }),
})

export const TensorRecord = answer('TensorRecord', TensorStatistics.properties)
export const ParameterRecord = answer('ParameterRecord', ParameterStatistics.properties)
