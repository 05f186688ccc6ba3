import Type from 'typebox'
import { closed } from '../../common/schema.ts'
import { sizeOf } from '../fans.ts'
import type { Law } from '../law.ts'
import { define } from './define.ts'

/** No shape here has more dimensions, so no array has a reason to. */
const DEEPEST = 8

type Nested = number | readonly Nested[]

/** Row by row. */
function flatten(value: Nested): number[] {
  return typeof value === 'number' ? [value] : value.flatMap(flatten)
}

/** -0 is 0, as JSON keeps it. */
function withoutNegativeZeros(value: Nested): Nested {
  if (typeof value !== 'number') return value.map(withoutNegativeZeros)
  return value === 0 ? 0 : value
}

/** The shape of an array of numbers; undefined where it is none. */
function readDimensions(value: unknown, depth = DEEPEST): readonly number[] | undefined {
  if (!Array.isArray(value)) return typeof value === 'number' ? [] : undefined
  if (depth === 0 || value.length === 0) return undefined
  const [first, ...others] = value.map((part) => readDimensions(part, depth - 1))
  if (first === undefined || others.some((other) => other?.join() !== first.join())) return undefined
  return [value.length, ...first]
}

/** An array's shape, with ones before it to the rank of the tensor that it is broadcast to. */
function aligned(dimensions: readonly number[], rank: number): number[] {
  return [...new Array<number>(Math.max(0, rank - dimensions.length)).fill(1), ...dimensions]
}

/** How an array becomes a tensor: as Keras's `Constant` makes it, or as TensorFlow v1's. */
const FILLS = ['broadcast', 'repeat_last'] as const

function findMisfit(value: Nested, fill: unknown, shape: readonly number[]): string | undefined {
  const dimensions = readDimensions(value) ?? []
  if (fill === 'broadcast') {
    const fits =
      dimensions.length <= shape.length &&
      aligned(dimensions, shape.length).every((size, axis) => size === 1 || size === shape[axis])
    return fits
      ? undefined
      : `cannot broadcast an array of shape [${dimensions.join(', ')}] ("fill": "repeat_last" repeats its last value)`
  }
  const [given, wanted] = [sizeOf(dimensions), sizeOf(shape)]
  if (given <= wanted) return undefined
  return `has ${counted(given, 'value')} for ${counted(wanted, 'entry').replace(/ys$/, 'ies')}`
}

function constantLaw(value: Nested, fill: unknown, shape: readonly number[]): Law {
  const [first = 0, ...others] = flatten(value).map(Math.fround)
  if (others.length === 0) return { kind: 'constant', value: first }
  const values = [first, ...others]
  const whole = values.length === sizeOf(shape)
  if (fill !== 'broadcast' || whole) return { kind: 'values', values }
  return { kind: 'values', values, dimensions: aligned(readDimensions(value) ?? [], shape.length) }
}

const counted = (count: number, thing: string): string =>
  `${count.toLocaleString('en')} ${thing}${count === 1 ? '' : 's'}`

export const constantDefinition = define('Constant', {
  v1: { fill: 'repeat_last' },
  config: closed({
    value: Type.Optional(
      Type.Union([Type.Number(), Type.Array(Type.Unknown(), { minItems: 1 })], {
        default: 0,
        description: 'The value of every entry, or an array of values',
      }),
    ),
    fill: Type.Optional(
      Type.Enum(FILLS, {
        default: 'broadcast',
        description:
          'How an array fills the shape. broadcast: as numpy broadcasts it; repeat_last: row by row, its last value to the end',
      }),
    ),
  }),
  // A verified shape changes no value, and a value of the wrong size is refused here or padded.
  written: { verify_shape: false, support_partition: false },
  problem: ({ value }) =>
    readDimensions(value)
      ? undefined
      : [
          'value',
          `must hold numbers only, and some, in lists at most ${String(DEEPEST)} deep, of one length at each depth`,
        ],
  settled: ({ value, fill }) =>
    typeof value === 'number' ? { value } : { value: withoutNegativeZeros(value as Nested), fill },
  // Arrays were once read row by row under every name: what such a reading gives keeps the form it had.
  identity: ({ value, fill }, shapes) => {
    const values = flatten(value as Nested)
    if (values.length === 1) return values[0] === 0 ? {} : { value: values[0] }
    const whole = shapes.every((shape) => sizeOf(shape) === values.length)
    return fill === 'broadcast' && !whole ? { value, fill } : { value: values }
  },
  misfit: ({ value, fill }, shape) => {
    const misfit = Array.isArray(value) ? findMisfit(value as Nested, fill, shape) : undefined
    return misfit === undefined ? undefined : ['value', misfit]
  },
  law: ({ value, fill }, shape) => constantLaw(value as Nested, fill, shape),
  distribution: 'constant, or values',
  formula: 'value; of an array its values, broadcast or with the last of them repeated to the end',
  notes:
    'Of arrays: Keras broadcasts, as here; TensorFlow v1 (constant_initializer) in a graph repeats the last value, as here under that name; v1 run eagerly and v2: the count must match; JAX and torch: scalars only. A -0 is 0.',
})
