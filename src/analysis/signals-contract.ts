import Type, { type Static } from 'typebox'
import { SafeInteger } from '../initializers/initializer.ts'
import { answer, nullable, Num } from '../common/schema.ts'
import { MAX_REPEATS } from '../statistics/interval.ts'
import { verdicts } from '../statistics/verdict.ts'

/** The options of a signal measurement. */
export const SignalFields = {
  input: Type.Enum(['gaussian', 'images'], {
    default: 'gaussian',
    description: 'N(0, 1) where the preprocessed image enters; images are sent as multipart/form-data',
  }),
  seed: Type.Integer({
    ...SafeInteger,
    default: 0,
    description: 'Of labels and Gaussian input; weights have their own',
  }),
  repeats: Type.Integer({
    minimum: 1,
    maximum: MAX_REPEATS,
    default: 5,
    description: 'Draws of input and labels; the weights stay',
  }),
  mode: Type.Enum(['training', 'inference'], {
    default: 'training',
    description: "Norms by the batch's own moments, or by the moving ones",
  }),
}
export const MAX_BATCH = 1024
const fields = {
  ...SignalFields,
  batch_size: Type.Integer({ minimum: 1, maximum: MAX_BATCH, default: 8 }),
}
/** The options in a request. Missing fields take their defaults. */
export const SignalsQuestion = Type.Partial(Type.Object(fields), {
  additionalProperties: false,
  title: 'SignalsQuestion',
})
export type SignalsQuestion = Static<typeof SignalsQuestion>
export type SignalOptions = Required<SignalsQuestion>

const Interval = nullable(Type.Array(Num), {
  description: '95 %, over the repeats; null where there was one',
})

/** Means over the repeats, each followed by its interval. */
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
    { description: "Of the block's sum before its final ReLU; population moments over all elements" },
  ),
  gradient: Type.Object(estimates('l2_norm', 'relative_to_weight', 'zero_fraction'), {
    description: "Of the loss by the block's trainable parameters; zero_fraction is of kernel weights",
  }),
})

export const NetworkSignals = answer('NetworkSignals', {
  ...fields,
  blocks: Type.Array(BlockSignals),
  gradient: Type.Object(estimates('l2_norm', 'zero_fraction'), { description: 'Of the whole network' }),
  ...estimates('loss', 'output_entropy', 'gradient_ratio', 'input_variance', 'variance_ratio'),
  verdict: Type.Enum(verdicts),
  reason: Type.String(),
  mean_field: nullable(
    Type.Object({
      q: Type.Array(Num, { description: "Predicted variance of each block's sum" }),
      chi_1: Type.Array(Num, { description: 'Predicted growth of a disturbance from sum to sum' }),
    }),
    { description: 'Of drawn networks without norms, for Gaussian input' },
  ),
  memory_bytes: Type.Integer({ description: 'What the measurement was expected to take' }),
  notes: Type.Array(Type.String()),
})
export type NetworkSignals = Static<typeof NetworkSignals>
