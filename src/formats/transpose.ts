/** Permutes the axes of values in C order: axis i of the result is axis axes[i] of the input. */
export function transposed(
  values: Float32Array,
  shape: readonly number[],
  axes: readonly number[],
): Float32Array {
  if (inOrder(axes)) return values
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1))
  const result = new Float32Array(values.length)
  let position = 0
  const fill = (depth: number, start: number): void => {
    const axis = axes[depth] ?? 0
    const [size = 1, stride = 1] = [shape[axis], strides[axis]]
    for (let index = 0, from = start; index < size; index++, from += stride) {
      if (depth < axes.length - 1) fill(depth + 1, from)
      else result[position++] = values[from] ?? NaN
    }
  }
  fill(0, 0)
  return result
}

/** True if a permutation is the identity: any part of a tensor can then be read in place. */
export function inOrder(axes: readonly number[]): boolean {
  return axes.every((axis, index) => axis === index)
}

/** The inverse permutation. */
export function inverse(axes: readonly number[]): number[] {
  return axes.map((_, index) => axes.indexOf(index))
}

/** Consecutive values of a tensor in C order, from `start`. */
export interface TensorPart {
  readonly values: Float32Array
  readonly start: number
}

/**
 * Copies a part of a source into a part of the tensor whose axis axes[i] is axis i of the source. Values outside of the
 * target part are skipped, so a tensor can be transposed part by part.
 */
export function placeTransposed(
  source: TensorPart,
  shape: readonly number[],
  axes: readonly number[],
  target: TensorPart,
): void {
  const sizes = inverse(axes).map((axis) => shape[axis] ?? 1)
  const strides = axes.map((axis) => sizes.slice(axis + 1).reduce((product, size) => product * size, 1))
  const index = shape.map(() => 0)
  let rest = source.start
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] ?? 1
    index[axis] = rest % size
    rest = Math.floor(rest / size)
  }
  let position = index.reduce((sum, at, axis) => sum + at * (strides[axis] ?? 0), -target.start)
  for (const value of source.values) {
    if (position >= 0 && position < target.values.length) target.values[position] = value
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const at = index[axis] ?? 0
      const size = shape[axis] ?? 1
      const stride = strides[axis] ?? 0
      position += stride
      if (at + 1 < size) {
        index[axis] = at + 1
        break
      }
      index[axis] = 0
      position -= stride * size
    }
  }
}
