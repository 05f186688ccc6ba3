import Type, { type Static } from 'typebox'
import { CompleteInitializer, InitializerReference, SafeInteger } from '../initializers/initializer.ts'
import { schemeNames } from '../network/schemes.ts'
import { Architecture, specificationFields } from '../network/specification.ts'
import { answer } from '../common/schema.ts'
import { DIGITS } from './data.ts'

const list = { minItems: 1, maxItems: 8 }
/** Defaults of missing fields. The learning rates are those of networks with batch normalization. */
export const DEFAULTS = {
  architecture: 'resnet20',
  initializers: ['he_normal', 'glorot_uniform'],
  learning_rates: [0.01, 0.1, 1],
  seeds: [0, 1, 2],
  steps: 44,
  batch_size: 64,
  momentum: 0.9,
  target_loss: 0.5,
} as const

const fields = {
  learning_rates: Type.Array(Type.Number({ exclusiveMinimum: 0, maximum: 1000 }), list),
  seeds: Type.Array(SafeInteger, {
    ...{ minItems: 1, maxItems: 10 },
    description: 'Each is a run: its weights and the order of its pictures; the same for every initializer',
  }),
  steps: Type.Integer({ minimum: 1, maximum: 10_000, description: 'Batches each run trains on' }),
  batch_size: Type.Integer({
    ...{ minimum: 2, maximum: DIGITS.training },
    description: 'Of the pictures that train; those that fill no batch are left out of an epoch',
  }),
  momentum: Type.Number({
    minimum: 0,
    exclusiveMaximum: 1,
    description: 'velocity = momentum velocity + gradient',
  }),
  target_loss: Type.Number({
    exclusiveMinimum: 0,
    maximum: 100,
    description: 'Steps are counted until the loss, as the mean of ten steps, is no more than this',
  }),
}

/** The experiment in a request. Missing fields take their defaults. */
export const ExperimentRequest = Type.Partial(
  Type.Object({
    architecture: Type.With(specificationFields.architecture, {
      description:
        'A preset or a description as in a specification; its input becomes [8, 8, 1], its classes 10',
    }),
    norm: Type.Enum(['batch', 'none'], { description: "In place of the architecture's own" }),
    residual_scheme: Type.Enum([...schemeNames], { description: 'As in a specification' }),
    initializers: Type.Array(InitializerReference, {
      ...list,
      description: 'Of all kernels: each is trained with each learning rate and each seed',
    }),
    ...fields,
    epochs: Type.Integer({ minimum: 1, maximum: 1000, description: 'In place of `steps`' }),
  }),
  { additionalProperties: false, title: 'ExperimentRequest' },
)
export type ExperimentRequest = Static<typeof ExperimentRequest>

/** An experiment with every field. */
export const Experiment = answer('Experiment', {
  architecture: Architecture,
  residual_scheme: Type.Enum([...schemeNames]),
  initializers: Type.Array(CompleteInitializer),
  ...fields,
})
export type Experiment = Static<typeof Experiment>
