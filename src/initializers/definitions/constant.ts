import Type from 'typebox'
import { closed } from '../../common/schema.ts'
import { sizeOf } from '../fans.ts'
import type { Law } from '../law.ts'
import { define } from './define.ts'

/** No shape has more dimensions. */
const MAX_DEPTH = 8

type Nested = number | readonly Nested[]

/** Row by row. */
function flatten(value: Nested): number[] {
  return typeof value === 'number' ? [value] : value.flatMap(flatten)
}

/** Replaces -0 by 0, which is how JSON stores it. */
function withoutNegativeZeros(value: Nested): Nested {
  if (typeof value !== 'number') return value.map(withoutNegativeZeros)
  return value === 0 ? 0 : value
}

/** The shape of an array of numbers; undefined for other values and for ragged arrays. */
function readDimensions(value: unknown, depth = MAX_DEPTH): readonly number[] | undefined {
  if (!Array.isArray(value)) return typeof value === 'number' ? [] : undefined
  if (depth === 0 || value.length === 0) return undefined
  const [first, ...others] = value.map((part) => readDimensions(part, depth - 1))
  if (first === undefined || others.some((other) => other?.join() !== first.join())) return undefined
  return [value.length, ...first]
}

/** An array's shape, with leading ones up to the rank of the tensor that it is broadcast to. */
function aligned(dimensions: readonly number[], rank: number): number[] {
  return [...new Array<number>(Math.max(0, rank - dimensions.length)).fill(1), ...dimensions]
}

/** How an array fills a tensor: as Keras's `Constant` does, or as TensorFlow v1's. */
const FILLS = ['broadcast', 'repeat_last'] as const

function findArrayProblem(value: Nested, fill: unknown, shape: readonly number[]): string | undefined {
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
        description: 'Value of every entry, or an array of values',
      }),
    ),
    fill: Type.Optional(
      Type.Enum(FILLS, {
        default: 'broadcast',
        description:
          'How an array fills the shape. broadcast: as numpy does; repeat_last: row by row, then the last value to the end',
      }),
    ),
  }),
  // verify_shape changes no value: arrays of the wrong size are rejected, or padded under the v1 name.
  ignoredFields: { verify_shape: false, support_partition: false },
  findProblem: ({ value }) =>
    readDimensions(value)
      ? undefined
      : [
          'value',
          `must be a number or a rectangular, non-empty array of numbers at most ${String(MAX_DEPTH)} levels deep`,
        ],
  normalizeConfig: ({ value, fill }) =>
    typeof value === 'number' ? { value } : { value: withoutNegativeZeros(value as Nested), fill },
  // Earlier versions filled arrays row by row under every name; arrays with that result keep their old form and id.
  canonicalConfig: ({ value, fill }, shapes) => {
    const values = flatten(value as Nested)
    if (values.length === 1) return values[0] === 0 ? {} : { value: values[0] }
    const whole = shapes.every((shape) => sizeOf(shape) === values.length)
    return fill === 'broadcast' && !whole ? { value, fill } : { value: values }
  },
  findShapeProblem: ({ value, fill }, shape) => {
    const detail = Array.isArray(value) ? findArrayProblem(value as Nested, fill, shape) : undefined
    return detail === undefined ? undefined : ['value', detail]
  },
  law: ({ value, fill }, shape) => constantLaw(value as Nested, fill, shape),
  distribution: 'constant, or values',
  formula: 'value; for an array its values, broadcast or with the last one repeated to the end',
  frameworks: {
    tensorflow1:
      'constant_initializer, which repeats the last value of an array in a graph, as here under that name, and requires as many values as entries when run eagerly',
    tensorflow2: 'an array must have as many values as entries',
    keras: 'arrays are broadcast, as here',
    jax: 'scalars only',
    torch: 'scalars only',
  },
  remarks: ['-0 is stored as 0.'],
})
