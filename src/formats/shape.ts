/** The number of values of a tensor. */
export function countValues(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1)
}
