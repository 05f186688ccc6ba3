import Type, { type Static } from 'typebox'
import { SafeInteger } from '../initializers/initializer.ts'
import { answer, nullable, Num } from '../common/schema.ts'
import { MAX_REPEATS } from '../statistics/interval.ts'
import { verdicts } from '../statistics/verdict.ts'

/** The options of a signal measurement. */
export const SignalFields = {
  input: Type.Enum(['gaussian', 'images'], {
    default: 'gaussian',
    description: 'gaussian: N(0, 1) in place of preprocessed images; images: sent as multipart/form-data',
  }),
  seed: Type.Integer({
    ...SafeInteger,
    default: 0,
    description: 'Seed of labels and Gaussian input; weights have their own seed',
  }),
  repeats: Type.Integer({
    minimum: 1,
    maximum: MAX_REPEATS,
    default: 5,
    description: 'Number of draws of input and labels; the weights stay the same',
  }),
  mode: Type.Enum(['training', 'inference'], {
    default: 'training',
    description: "Norms use the batch's moments (training) or the moving moments (inference)",
  }),
}
export const MAX_BATCH = 1024
const fields = {
  ...SignalFields,
  batch_size: Type.Integer({ minimum: 1, maximum: MAX_BATCH, default: 8 }),
}
/** The options in a request; missing fields take their defaults. */
export const SignalsQuestion = Type.Partial(Type.Object(fields), {
  additionalProperties: false,
  title: 'SignalsQuestion',
})
export type SignalsQuestion = Static<typeof SignalsQuestion>
export type SignalOptions = Required<SignalsQuestion>

const Interval = nullable(Type.Array(Num), {
  description: '95 % confidence interval over the repeats; null with one repeat',
})

/** Schemas of means over the repeats, each followed by its interval. */
const estimates = <N extends string>(...names: readonly N[]) =>
  Object.fromEntries(
    names.flatMap((name) => [[name, Num] as const, [`${name}_interval`, Interval] as const]),
  ) as Record<N, typeof Num> & Record<`${N}_interval`, typeof Interval>

const BlockSignals = answer('BlockSignals', {
  name: Type.String(),
  activation: Type.Object(
    estimates(
      ...(['mean', 'variance', 'average_squared_channel_mean', 'average_channel_variance'] as const),
      ...(['residual_variance', 'dead_fraction'] as const),
    ),
    { description: "The block's sum before its final ReLU; population moments over all elements" },
  ),
  gradient: Type.Object(estimates('l2_norm', 'relative_to_weight', 'zero_fraction'), {
    description:
      "Gradient of the loss by the block's trainable parameters; zero_fraction counts kernel weights",
  }),
})

export const NetworkSignals = answer('NetworkSignals', {
  ...fields,
  blocks: Type.Array(BlockSignals),
  gradient: Type.Object(estimates('l2_norm', 'zero_fraction'), {
    description: 'Gradient of the whole network',
  }),
  ...estimates('loss', 'output_entropy', 'gradient_ratio', 'input_variance', 'variance_ratio'),
  verdict: Type.Enum(verdicts),
  reason: Type.String(),
  mean_field: nullable(
    Type.Object({
      q: Type.Array(Num, { description: "Predicted variance of each block's sum" }),
      chi_1: Type.Array(Num, { description: 'Predicted growth of a disturbance from one sum to the next' }),
    }),
    {
      description:
        'Mean-field prediction for drawn networks without norms and Gaussian input; null for others',
    },
  ),
  memory_bytes: Type.Integer({ description: 'Estimated memory of the measurement' }),
  notes: Type.Array(Type.String()),
})
export type NetworkSignals = Static<typeof NetworkSignals>
