import { closed } from '../../common/schema.ts'
import { Seed, type InitializerDefinition } from '../initializer.ts'
import type { Law } from '../law.ts'
import { define, KERAS, number, SEEDS } from './define.ts'

/** The law of RandomNormal and TruncatedNormal. */
const normalLaw =
  (kind: 'normal' | 'truncated_normal') =>
  ({ mean, stddev }: Readonly<Record<string, unknown>>): Law =>
    stddev === 0
      ? { kind: 'constant', value: Math.fround(mean as number) }
      : { kind, mean: mean as number, std: stddev as number }

const normalConfig = closed({
  mean: number(0, 'Mean'),
  stddev: number(0.05, 'Standard deviation before any truncation', { minimum: 0 }),
  seed: Seed,
})

/** Entries whose law does not depend on the shape. */
export const independentDefinitions: readonly InitializerDefinition[] = [
  define('RandomUniform', {
    otherNames: ['uniform'],
    v1: { minval: 0, maxval: 1 },
    config: closed({
      minval: number(-0.05, 'Lower bound'),
      maxval: number(0.05, 'Upper bound'),
      seed: Seed,
    }),
    findProblem: ({ minval, maxval }) =>
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
    frameworks: {
      tensorflow1: 'random_uniform_initializer, default [0, 1)',
      tensorflow2: 'default [-0.05, 0.05)',
      keras: 'default [-0.05, 0.05)',
      jax: 'uniform(scale=0.01), one-sided: [0, scale)',
      torch: 'uniform_, default [0, 1)',
    },
    remarks: [SEEDS],
  }),
  define('RandomNormal', {
    otherNames: ['normal', 'untruncated_normal'],
    v1: { stddev: 1 },
    config: normalConfig,
    law: normalLaw('normal'),
    distribution: 'normal',
    formula: 'N(mean, stddev^2)',
    reference: KERAS,
    frameworks: {
      tensorflow1: 'random_normal_initializer, default stddev 1',
      tensorflow2: 'default stddev 0.05',
      keras: 'default stddev 0.05',
      jax: 'normal, default stddev 0.01',
      torch: 'normal_, default std 1',
    },
    remarks: [SEEDS],
  }),
  define('TruncatedNormal', {
    v1: { stddev: 1 },
    config: normalConfig,
    law: normalLaw('truncated_normal'),
    distribution: 'truncated_normal',
    formula:
      'N(mean, stddev^2) truncated at mean +- 2 stddev; the standard deviation after truncation is 0.8796 stddev',
    reference: KERAS,
    frameworks: {
      tensorflow1: 'truncated_normal_initializer, default stddev 1',
      tensorflow2: 'default stddev 0.05',
      keras: 'default stddev 0.05',
      jax: 'truncated_normal, default stddev 0.01, with lower and upper in units of stddev',
      torch: 'trunc_normal_, default std 1, with bounds in units of the values (TorchTruncNormal)',
    },
    remarks: [
      'No framework widens the normal before truncation: the standard deviation is 0.8796 stddev.',
      SEEDS,
    ],
  }),
]
