import Type from 'typebox'
import { closed } from '../../common/schema.ts'
import type { InitializerDefinition } from '../initializer.ts'
import { constantDefinition } from './constant.ts'
import { define, number, TORCH } from './define.ts'
import { SAME } from './frameworks.ts'

/** Initializers without randomness. */
export const fixedDefinitions: readonly InitializerDefinition[] = [
  define('Zeros', {
    otherNames: ['zero'],
    config: closed({}),
    law: () => ({ kind: 'constant', value: 0 }),
    distribution: 'constant',
    formula: '0',
    frameworks: SAME,
  }),
  define('Ones', {
    otherNames: ['one'],
    config: closed({}),
    law: () => ({ kind: 'constant', value: 1 }),
    distribution: 'constant',
    formula: '1',
    frameworks: SAME,
  }),
  constantDefinition,
  define('Identity', {
    otherNames: ['IdentityInitializer', 'eye'],
    config: closed({ gain: number(1, 'Value on the diagonal') }),
    law: ({ gain }) => ({ kind: 'identity', gain: Math.fround(gain as number) }),
    distribution: 'identity',
    formula: 'gain on the diagonal, gain * 0 elsewhere: -0.0 for a negative gain',
    ranks: { min: 2, max: 2 },
    frameworks: {
      tensorflow1: 'the same, also for rectangular matrices',
      tensorflow2: 'the same, also for rectangular matrices',
      keras: 'the same, also for rectangular matrices',
      jax: 'none',
      torch: 'eye_, without a gain',
    },
    remarks: ['The equivalent for convolutions is Dirac.'],
  }),
  define('Dirac', {
    otherNames: ['dirac_'],
    v1: null,
    config: closed({
      groups: Type.Optional(
        Type.Integer({ default: 1, minimum: 1, description: 'Groups of outputs; each reads all inputs' }),
      ),
    }),
    findShapeProblem: ({ groups }, shape) =>
      (shape.at(-1) ?? 1) % (groups as number) === 0
        ? undefined
        : ['groups', `must divide the outputs; give a divisor of ${String(shape.at(-1))}`],
    law: ({ groups }) => ({ kind: 'dirac', groups: groups as number, gain: 1 }),
    distribution: 'dirac',
    formula: '1 from input d of a group to its output d at tap size // 2 of each side, 0 elsewhere',
    reference: TORCH,
    ranks: { min: 3, max: 5 },
    frameworks: {
      tensorflow1: 'none',
      tensorflow2: 'none',
      keras: 'none',
      jax: 'none',
      torch: 'dirac_, the same entries in the layout [out, in, ...window]',
    },
    remarks: [
      'The tap is size // 2, and (size - 1) // 2 for ConvolutionDeltaOrthogonal: the two differ by one in even windows.',
    ],
  }),
]
