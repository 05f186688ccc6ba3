import Type, { type Static } from 'typebox'
import { CompleteInitializer, InitializerReference, SafeInteger } from '../initializers/initializer.ts'
import { schemeNames } from '../network/schemes.ts'
import { Architecture, specificationFields } from '../network/specification.ts'
import { answer } from '../common/schema.ts'
import { DIGITS } from './data.ts'

const list = { minItems: 1, maxItems: 8 }
/** Defaults of missing fields. The learning rates suit networks with batch normalization. */
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
    description:
      'One run per seed, which determines the weights and the order of the pictures; the same seeds for every initializer',
  }),
  steps: Type.Integer({ minimum: 1, maximum: 10_000, description: 'Batches of each run' }),
  batch_size: Type.Integer({
    ...{ minimum: 2, maximum: DIGITS.training },
    description: 'Training pictures per batch; pictures that do not fill a batch are left out of the epoch',
  }),
  momentum: Type.Number({
    minimum: 0,
    exclusiveMaximum: 1,
    description: 'velocity = momentum velocity + gradient',
  }),
  target_loss: Type.Number({
    exclusiveMinimum: 0,
    maximum: 100,
    description: 'steps_to_target counts the steps until the mean loss of ten steps is at most this',
  }),
}

/** The experiment in a request. Missing fields take their defaults. */
export const ExperimentRequest = Type.Partial(
  Type.Object({
    architecture: Type.With(specificationFields.architecture, {
      description:
        'A preset or a description as in a specification; the input shape is set to [8, 8, 1] and the classes to 10',
    }),
    norm: Type.Enum(['batch', 'none'], { description: "Replaces the architecture's norm" }),
    residual_scheme: Type.Enum([...schemeNames], { description: 'As in a specification' }),
    initializers: Type.Array(InitializerReference, {
      ...list,
      description: 'Kernel initializers; each is trained with each learning rate and each seed',
    }),
    ...fields,
    epochs: Type.Integer({ minimum: 1, maximum: 1000, description: 'Alternative to `steps`' }),
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
