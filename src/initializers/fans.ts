export interface Fans {
  readonly fanIn: number
  readonly fanOut: number
}

/** fan_in and fan_out of a kernel in TensorFlow's layout (`init_ops.py: _compute_fans`): [...window, in, out]. */
export function fansOf(shape: readonly number[]): Fans {
  const [first = 1] = shape
  if (shape.length < 2) return { fanIn: first, fanOut: first }
  const receptiveField = shape.slice(0, -2).reduce((product, size) => product * size, 1)
  return { fanIn: receptiveField * (shape.at(-2) ?? 1), fanOut: receptiveField * (shape.at(-1) ?? 1) }
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}
