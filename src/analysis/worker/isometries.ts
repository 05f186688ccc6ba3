import { sizeOf } from '../../initializers/fans.ts'
import type { Initializer } from '../../initializers/initializer.ts'
import type { Layout } from '../../statistics/candidates.ts'
import { onlyTap, estimateOrthogonalGain } from '../../statistics/structures.ts'
import type { Spectra } from './spectra.ts'

interface Kernel {
  readonly whole: Float32Array
  readonly shape: readonly number[]
  readonly layout: Layout
  /** Of the flattened kernel. */
  readonly eigenvalues: Float64Array
  readonly epsilon: number
}

/** What keeps norms: as a convolution, at one tap or at several, or flattened. */
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
    // Before the flattened kernel, which is orthogonal too where there are as many inputs as outputs.
    const [window, inputs] = layout === 'torch' ? [shape.slice(2), 1] : [shape.slice(0, -2), dimensions]
    const gain =
      sizeOf(window) > 1 && estimateOrthogonalGain(spectra.eigenvaluesBy(whole, shape, inputs), epsilon)
    if (typeof gain === 'number')
      return { class_name: `ConvolutionOrthogonal${String(dimensions)}D`, config: { gain } }
  }
  const gain = estimateOrthogonalGain(eigenvalues, epsilon)
  return gain === undefined ? undefined : { class_name: 'Orthogonal', config: { gain } }
}
