import { sizeOf } from './fans.ts'
import type { Law } from './law.ts'

/** Cost of a QR decomposition with Q, for at least as many rows as columns: about 4 rows columns^2. */
const qr = (rows: number, columns: number): number => 4 * rows * columns ** 2
const product = (rows: number, inner: number, columns: number): number => 2 * rows * inner * columns

/** Floating point operations of a law's matrix algebra; 0 for laws without any. */
export function countOperations(law: Law, shape: readonly number[]): number {
  const outputs = shape.at(-1) ?? 1
  switch (law.kind) {
    case 'orthogonal': {
      const rows = sizeOf(shape) / outputs
      return qr(Math.max(rows, outputs), Math.min(rows, outputs))
    }
    case 'delta_orthogonal':
      return qr(outputs, outputs)
    case 'convolution_orthogonal': {
      const [side = 1] = shape
      const pairs = (shape.length - 2) * (side - 1)
      // Each pair of taps costs a decomposition, a projector, and a product with at most the whole kernel.
      const each = qr(outputs, outputs) + product(outputs, outputs, outputs)
      return qr(outputs, outputs) + pairs * (each + product(sizeOf(shape) / outputs, outputs, outputs))
    }
    default:
      return 0
  }
}
