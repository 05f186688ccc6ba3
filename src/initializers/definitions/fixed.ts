import Type from 'typebox'
import { closed } from '../../schema.ts'
import { sizeOf } from '../fans.ts'
import type { InitializerDefinition } from '../initializer.ts'
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

/** No shape here has more dimensions, so no list has a reason to. */
const DEEPEST = 8

/** Row-major; -0 is 0, as JSON keeps it. */
function flat(value: unknown): number[] {
  return Array.isArray(value) ? value.flatMap(flat) : [value === 0 ? 0 : (value as number)]
}

function onlyNumbers(value: unknown, depth = DEEPEST): boolean {
  if (!Array.isArray(value)) return typeof value === 'number'
  return depth > 0 && value.length > 0 && value.every((part) => onlyNumbers(part, depth - 1))
}

const counted = (count: number, thing: string): string =>
  `${count.toLocaleString('en')} ${thing}${count === 1 ? '' : 's'}`

export const fixedDefinitions: readonly InitializerDefinition[] = [
  constant('Zeros', 'zero', 0),
  constant('Ones', 'one', 1),
  define('Constant', {
    config: closed({
      value: Type.Optional(
        Type.Union([Type.Number(), Type.Array(Type.Unknown(), { minItems: 1 })], {
          default: 0,
          description: 'The value of every entry, or a list of values, nested or not, read row by row',
        }),
      ),
    }),
    // A verified shape changes no value, and a value of the wrong size is refused here or padded.
    written: { verify_shape: false, support_partition: false },
    problem: ({ value }) =>
      onlyNumbers(value)
        ? undefined
        : ['value', `must hold numbers only, and some, in lists at most ${String(DEEPEST)} deep`],
    settled: ({ value }) => {
      const [first, ...others] = flat(value)
      return { value: others.length === 0 ? first : [first, ...others] }
    },
    misfit: ({ value }, shape) => {
      const [given, wanted] = [flat(value).length, sizeOf(shape)]
      if (given <= wanted) return undefined
      return ['value', `has ${counted(given, 'value')} for ${counted(wanted, 'entry').replace(/ys$/, 'ies')}`]
    },
    law: ({ value }) =>
      Array.isArray(value)
        ? { kind: 'values', values: flat(value).map(Math.fround) }
        : { kind: 'constant', value: Math.fround(value as number) },
    distribution: 'constant, or values',
    formula: 'value; of a list its values in order, the last of them to the end',
    notes:
      'TensorFlow v1 in a graph: as here, a short list is padded with its last value; v1 run eagerly and v2: the count must match; Keras, JAX and torch: scalars only.',
  }),
  define('Identity', {
    words: ['IdentityInitializer', 'eye'],
    config: closed({ gain: number(1, 'Value on the diagonal') }),
    law: ({ gain }) => ({ kind: 'identity', gain: Math.fround(gain as number) }),
    distribution: 'identity',
    formula: 'gain on the diagonal, 0 elsewhere',
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
