import { closed } from '../../common/schema.ts'
import { Seed, type InitializerDefinition } from '../initializer.ts'
import type { Law } from '../law.ts'
import { define, KERAS, number, SEEDS } from './define.ts'

/** RandomNormal and TruncatedNormal: init_ops's word has a standard deviation of 1, Keras and v2 of 0.05. */
function normal(
  name: string,
  kind: 'normal' | 'truncated_normal',
  described: { readonly formula: string; readonly notes: string; readonly words?: readonly string[] },
) {
  return define(name, {
    v1: { stddev: 1 },
    config: closed({
      mean: number(0, 'Mean'),
      stddev: number(0.05, 'Standard deviation before any cut', { minimum: 0 }),
      seed: Seed,
    }),
    law: ({ mean, stddev }): Law =>
      stddev === 0
        ? { kind: 'constant', value: Math.fround(mean as number) }
        : { kind, mean: mean as number, std: stddev as number },
    distribution: kind,
    reference: KERAS,
    ...described,
  })
}

/** Entries whose law does not depend on the shape. */
export const independentDefinitions: readonly InitializerDefinition[] = [
  define('RandomUniform', {
    words: ['uniform'],
    v1: { minval: 0, maxval: 1 },
    config: closed({
      minval: number(-0.05, 'Lower bound'),
      maxval: number(0.05, 'Upper bound'),
      seed: Seed,
    }),
    problem: ({ minval, maxval }) =>
      (minval as number) > (maxval as number)
        ? ['maxval', `must be at least minval (${String(minval)})`]
        : undefined,
    law: ({ minval, maxval }) =>
      minval === maxval
        ? { kind: 'constant', value: Math.fround(minval as number) }
        : { kind: 'uniform', low: minval as number, high: maxval as number },
    distribution: 'uniform',
    formula: 'U[minval, maxval)',
    reference: KERAS,
    notes: `TensorFlow v1 (random_uniform_initializer): default [0, 1); v2 and Keras: [-0.05, 0.05); JAX: uniform(scale=0.01), one-sided [0, scale); torch: uniform_, [0, 1). ${SEEDS}`,
  }),
  normal('RandomNormal', 'normal', {
    words: ['normal', 'untruncated_normal'],
    formula: 'N(mean, stddev^2)',
    notes: `TensorFlow v1 (random_normal_initializer): default stddev 1; v2 and Keras: 0.05; JAX: normal(stddev=0.01); torch: normal_, 1. ${SEEDS}`,
  }),
  normal('TruncatedNormal', 'truncated_normal', {
    formula:
      'N(mean, stddev^2) cut at mean +- 2 stddev; the standard deviation after the cut is 0.8796 stddev',
    notes: `TensorFlow v1 (truncated_normal_initializer): default stddev 1; v2 and Keras: 0.05; JAX: 0.01, with lower and upper in units of stddev; torch: trunc_normal_, 1, with bounds in units of the values (TorchTruncNormal). None of them widens: the standard deviation is 0.8796 stddev. ${SEEDS}`,
  }),
]
