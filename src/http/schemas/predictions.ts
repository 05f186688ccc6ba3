import Type, { type Static } from 'typebox'
import { Num, optional } from './common.ts'

const closed = { additionalProperties: false }

export const PredictQuery = Type.Object(
  {
    top_k: optional(Type.Integer({ minimum: 1, maximum: 1000, default: 5 })),
    fit: optional(Type.Enum(['cover', 'fill', 'contain', 'exact'], { default: 'cover' })),
    include: optional(Type.String({ description: 'logits, probabilities, features; separated by commas' })),
    batch: optional(Type.Boolean({ default: true, description: 'false computes this request alone' })),
  },
  closed,
)
export type PredictQuery = Static<typeof PredictQuery>

export const PredictBody = Type.Object(
  { instances: Type.Array(Type.Object({ b64: Type.String({ minLength: 1 }) }, closed), { minItems: 1 }) },
  closed,
)

export const Predictions = Type.Object(
  {
    model: Type.String(),
    weights: Type.Enum(['initialized', 'loaded']),
    predictions: Type.Array(
      Type.Object({
        classes: Type.Array(
          Type.Object({
            index: Type.Integer(),
            label: Type.Union([Type.String(), Type.Null()]),
            probability: Num,
            logit: Num,
          }),
        ),
        entropy: Num,
        finite: Type.Boolean(),
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
  },
  { title: 'Predictions' },
)
