import Type from 'typebox'
import { closed } from '../../common/schema.ts'
import type { InitializerDefinition } from '../initializer.ts'
import { constantDefinition } from './constant.ts'
import { define, number, SAME, TORCH } from './define.ts'

/** Zeros and Ones. */
function constant(name: string, word: string, value: number): InitializerDefinition {
  return define(name, {
    words: [word],
    config: closed({}),
    law: () => ({ kind: 'constant', value }),
    distribution: 'constant',
    formula: String(value),
    notes: SAME,
  })
}

export const fixedDefinitions: readonly InitializerDefinition[] = [
  constant('Zeros', 'zero', 0),
  constant('Ones', 'one', 1),
  constantDefinition,
  define('Identity', {
    words: ['IdentityInitializer', 'eye'],
    config: closed({ gain: number(1, 'Value on the diagonal') }),
    law: ({ gain }) => ({ kind: 'identity', gain: Math.fround(gain as number) }),
    distribution: 'identity',
    formula: 'gain on the diagonal, gain * 0 elsewhere: -0.0 for a negative gain',
    ranks: { min: 2, max: 2 },
    notes:
      'TensorFlow v1, v2 and Keras: the same, rectangular matrices too; JAX: none; torch: eye_, without a gain. For convolutions see Dirac.',
  }),
  define('Dirac', {
    words: ['dirac_'],
    v1: null,
    config: closed({
      groups: Type.Optional(
        Type.Integer({ default: 1, minimum: 1, description: 'Groups of outputs, each fed by all inputs' }),
      ),
    }),
    misfit: ({ groups }, shape) =>
      (shape.at(-1) ?? 1) % (groups as number) === 0
        ? undefined
        : ['groups', `must divide the outputs; give a divisor of ${String(shape.at(-1))}`],
    law: ({ groups }) => ({ kind: 'dirac', groups: groups as number, gain: 1 }),
    distribution: 'dirac',
    formula: '1 from input d of a group to its output d at tap size // 2 of each side, 0 elsewhere',
    reference: TORCH,
    ranks: { min: 3, max: 5 },
    notes:
      "TensorFlow, Keras and JAX: none; torch: dirac_, the same entries laid out [out, in, ...window]. Its tap is size // 2, delta orthogonal's (size - 1) // 2: one further for even windows.",
  }),
]
