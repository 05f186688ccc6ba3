import { expect } from 'vitest'

/** Float32 values in base64. */
export function floatsOf(base64: string): number[] {
  return [...new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer)]
}

/** Two computations of the same logits: equal to within 1e-4 of the largest. */
export function expectLogits(given: readonly number[], wanted: readonly number[]): void {
  expect(given).toHaveLength(wanted.length)
  const largest = Math.max(...wanted.map(Math.abs))
  const difference = Math.max(...wanted.map((value, index) => Math.abs(value - (given[index] ?? NaN))))
  expect(difference / largest).toBeLessThan(1e-4)
}
