import { fieldError } from '../common/errors.ts'
import { sizeOf } from '../initializers/fans.ts'
import type { Plan } from '../network/plan.ts'

const FLOAT32_BYTES = 4
/** Copies of every layer's output at the peak of the backward pass; measured: 3.5 to 6.2. */
const ACTIVATION_COPIES = 7
/** The weights, their gradients, and one more copy while they are drawn or read. */
const WEIGHT_COPIES = 3

/** Peak bytes of a forward and backward pass, in addition to the process's own memory. */
export function signalMemory({ layers, totals }: Plan, batchSize: number): number {
  const outputs = layers.reduce((sum, { outputShape }) => sum + sizeOf(outputShape), 0)
  return outputs * batchSize * FLOAT32_BYTES * ACTIVATION_COPIES + totals.bytes * WEIGHT_COPIES
}

/** Returns the estimated bytes within the budget. Throws INVALID_REQUEST with the largest batch that fits. */
export function affordableMemory(plan: Plan, batchSize: number, budget: number, pointer: string): number {
  const bytes = signalMemory(plan, batchSize)
  if (bytes <= budget) return bytes
  const perImage = signalMemory(plan, 1) - signalMemory(plan, 0)
  const most = Math.floor((budget - signalMemory(plan, 0)) / perImage)
  const cure = most < 1 ? 'a smaller network or input_shape' : `at most ${String(most)} images in a batch`
  throw fieldError(
    pointer,
    `would take about ${gigabytes(bytes)} GB for ${String(batchSize)} images, more than the ${gigabytes(budget)} GB of ANALYSIS_MEMORY_BYTES; use ${cure}`,
  )
}

function gigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(2)
}
