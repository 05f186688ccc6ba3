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
