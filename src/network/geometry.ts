import { ServiceError } from '../common/errors.ts'
import type { Padding, Window } from './ops.ts'

/** The shape [h, w, c] after a window is applied. Throws SHAPE_MISMATCH if the window does not fit. */
export function windowShape(
  name: string,
  shape: readonly number[],
  window: Window,
  channels: number,
): number[] {
  const [height = 0, width = 0] = shape
  const outer = [height, width].map((size) => windowLength(size, window))
  if (outer.some((size) => size < 1)) {
    throw new ServiceError(
      'SHAPE_MISMATCH',
      `${name}: a ${String(window.size)}x${String(window.size)} window does not fit into ${shapeText(shape)}; use a larger input_shape, a smaller window or smaller strides`,
      {
        errors: [
          {
            pointer: '#/architecture',
            detail: `${name} needs at least ${String(window.size)}x${String(window.size)}`,
          },
        ],
      },
    )
  }
  return [...outer, channels]
}

function windowLength(length: number, { size, strides, padding }: Window): number {
  if (padding === 'same') return Math.ceil(length / strides)
  return Math.floor((length + 2 * paddingMargin(padding) - size) / strides) + 1
}

function paddingMargin(padding: Padding): number {
  return typeof padding === 'string' ? 0 : padding.symmetric
}

/** Taps along one side of an image: for each position of the window, the pixels inside the image. */
export function windowTaps(length: number, window: Window): number[][] {
  const { size, strides, padding } = window
  const outputLength = windowLength(length, window)
  // TensorFlow's 'same' puts the odd padding element at the end.
  const before =
    padding === 'same'
      ? Math.floor(Math.max(0, (outputLength - 1) * strides + size - length) / 2)
      : paddingMargin(padding)
  return Array.from({ length: outputLength }, (_, output) =>
    Array.from({ length: size }, (_, tap) => output * strides - before + tap).filter(
      (position) => position >= 0 && position < length,
    ),
  )
}

export function shapeText(shape: readonly number[]): string {
  return shape.join('x')
}
