/** A box of an array whose values are contiguous in row-major order. */
export interface Hyperslab {
  readonly starts: readonly number[]
  readonly counts: readonly number[]
  /** The number of values. */
  readonly size: number
}

/**
 * Splits `count` values from `offset` of an array in row-major order into boxes of at most `limit` values. The range
 * must lie in the array.
 */
export function* splitRange(
  shape: readonly number[],
  offset: number,
  count: number,
  limit: number,
): Generator<Hyperslab> {
  // The number of values of one step along each axis.
  const strides = shape.map((_, axis) =>
    shape.slice(axis + 1).reduce((product, length) => product * length, 1),
  )
  for (let at = offset, end = offset + count; at < end;) {
    const rest = Math.min(end - at, limit)
    const found = strides.findIndex((stride) => stride <= rest && at % stride === 0)
    const position = strides.map((stride, axis) => Math.floor(at / stride) % (shape[axis] ?? 1))
    const stride = strides[found] ?? 1
    const steps = Math.min(Math.floor(rest / stride), (shape[found] ?? 1) - (position[found] ?? 0))
    const counts = shape.map((length, axis) => (axis < found ? 1 : axis === found ? steps : length))
    const size = stride * steps
    yield { starts: position, counts, size }
    at += size
  }
}
