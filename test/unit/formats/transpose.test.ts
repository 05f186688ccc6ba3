import fc from 'fast-check'
import { expect, test } from 'vitest'
import { inOrder, inverse, transposed } from '../../../src/formats/transpose.ts'

const arrays = fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 4 }).chain((shape) =>
  fc.record({
    shape: fc.constant(shape),
    axes: fc.shuffledSubarray([...shape.keys()], { minLength: shape.length }),
  }),
)

const at = (shape: readonly number[], index: readonly number[]): number =>
  index.reduce((position, coordinate, axis) => position * (shape[axis] ?? 0) + coordinate, 0)

test('every value is at its permuted coordinates', () => {
  fc.assert(
    fc.property(arrays, ({ shape, axes }) => {
      const size = shape.reduce((product, length) => product * length, 1)
      const values = Float32Array.from({ length: size }, (_, index) => index)
      const result = transposed(values, shape, axes)
      const permuted = axes.map((axis) => shape[axis] ?? 0)
      const coordinates = shape.map(() => 0)
      for (let position = 0; position < size; position++) {
        let rest = position
        for (let axis = shape.length - 1; axis >= 0; axis--) {
          coordinates[axis] = rest % (shape[axis] ?? 1)
          rest = Math.floor(rest / (shape[axis] ?? 1))
        }
        expect(
          result[
            at(
              permuted,
              axes.map((axis) => coordinates[axis] ?? 0),
            )
          ],
        ).toBe(position)
      }
      expect(transposed(result, permuted, inverse(axes))).toEqual(values)
    }),
  )
})

test('the identity permutation changes nothing', () => {
  const values = Float32Array.of(1, 2, 3, 4)
  expect(transposed(values, [2, 2], [0, 1])).toBe(values)
  expect([inOrder([0, 1, 2]), inOrder([]), inOrder([1, 0])]).toEqual([true, true, false])
})
