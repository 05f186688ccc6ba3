import { sizeOf } from '../../initializers/fans.ts'
import type { Initializer } from '../../initializers/initializer.ts'
import type { Layout } from '../../statistics/candidates.ts'
import { onlyTap, estimateOrthogonalGain } from '../../statistics/structures.ts'
import type { Spectra } from './spectra.ts'

interface Kernel {
  readonly whole: Float32Array
  readonly shape: readonly number[]
  readonly layout: Layout
  /** Eigenvalues of the flattened kernel's Gram matrix. */
  readonly eigenvalues: Float64Array
  readonly epsilon: number
}

/** Detects a norm-preserving tensor: a convolution with one tap or several, or a flattened kernel. */
export function isometryIn(
  spectra: Spectra,
  { whole, shape, layout, eigenvalues, epsilon }: Kernel,
): Initializer | undefined {
  const dimensions = shape.length - 2
  if (dimensions >= 1 && dimensions <= 3) {
    const tap = onlyTap(whole, shape, layout)
    const tapGain =
      tap && estimateOrthogonalGain(spectra.eigenvalues(tap.values, [tap.rows, tap.columns]), epsilon)
    if (tapGain !== undefined) return { class_name: 'ConvolutionDeltaOrthogonal', config: { gain: tapGain } }
    // Tested before the flattened kernel, which is orthogonal too if inputs and outputs are equally many.
    const [window, inputs] = layout === 'torch' ? [shape.slice(2), 1] : [shape.slice(0, -2), dimensions]
    const gain =
      sizeOf(window) > 1 && estimateOrthogonalGain(spectra.eigenvaluesBy(whole, shape, inputs), epsilon)
    if (typeof gain === 'number')
      return { class_name: `ConvolutionOrthogonal${String(dimensions)}D`, config: { gain } }
  }
  const gain = estimateOrthogonalGain(eigenvalues, epsilon)
  return gain === undefined ? undefined : { class_name: 'Orthogonal', config: { gain } }
}
