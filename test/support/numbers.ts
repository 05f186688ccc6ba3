import { expect } from 'vitest'

/** Float32 values in base64. */
export function floatsOf(base64: string): number[] {
  return [...new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer)]
}

/** Expects logits of two computations to agree within 1e-4 of the largest. */
export function expectLogits(given: readonly number[], wanted: readonly number[]): void {
  expect(given).toHaveLength(wanted.length)
  const largest = Math.max(...wanted.map(Math.abs))
  const difference = Math.max(...wanted.map((value, index) => Math.abs(value - (given[index] ?? NaN))))
  expect(difference / largest).toBeLessThan(1e-4)
}

/** P(|Z| > |z|) of a standard normal, by Simpson's rule over its density. */
export function normalTails(z: number): number {
  const steps = 2000
  const width = Math.abs(z) / steps
  let sum = 0
  for (let step = 0; step <= steps; step++) {
    const weight = step === 0 || step === steps ? 1 : step % 2 === 1 ? 4 : 2
    sum += weight * Math.exp(-((step * width) ** 2) / 2)
  }
  return 1 - (2 * sum * width) / 3 / Math.sqrt(2 * Math.PI)
}
