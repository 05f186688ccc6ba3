import Type, { type Static } from 'typebox'
import { labelSetNames } from '../../serving/models/labels.ts'
import { answer, closed, nullable, Num } from '../../common/schema.ts'
import { optional } from './schema-parts.ts'

export const PredictQuery = closed({
  top_k: optional(Type.Integer({ minimum: 1, maximum: 1000, default: 5 })),
  fit: optional(Type.Enum(['cover', 'fill', 'contain', 'exact'], { default: 'cover' })),
  include: optional(Type.String({ description: 'logits, probabilities, features; separated by commas' })),
  labels: optional(
    Type.Enum(labelSetNames, {
      description: "Class names in this response, instead of the specification's `labels`",
    }),
  ),
  batch: optional(
    Type.Boolean({ default: true, description: 'false computes this request in a separate batch' }),
  ),
})

export const PredictBody = closed({
  instances: Type.Array(closed({ b64: Type.String({ minLength: 1 }) }), { minItems: 1 }),
})
export type PredictBody = Static<typeof PredictBody>

export const Predictions = answer('Predictions', {
  model: Type.String(),
  weights: Type.Enum(['initialized', 'loaded']),
  predictions: Type.Array(
    Type.Object({
      classes: Type.Array(
        Type.Object({ index: Type.Integer(), label: nullable(Type.String()), probability: Num, logit: Num }),
      ),
      entropy: Num,
      finite: Type.Boolean({
        description:
          'False if a logit is not finite, or if an intermediate value may have overflowed: on some processors a ReLU maps NaN to 0',
      }),
      image: Type.Object({ width: Type.Integer(), height: Type.Integer(), format: Type.String() }),
      logits: optional(Type.Array(Num)),
      probabilities: optional(Type.Array(Num)),
      features: optional(Type.Array(Num)),
    }),
  ),
  timing_ms: Type.Object({
    decode: Type.Number(),
    queue: Type.Number(),
    compute: Type.Number(),
    total: Type.Number(),
  }),
  batch_size: Type.Integer(),
})
