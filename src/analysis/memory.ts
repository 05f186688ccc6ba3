import { fieldError } from '../errors.ts'
import { sizeOf } from '../initializers/fans.ts'
import type { Plan } from '../network/plan.ts'

const FLOAT32_BYTES = 4
/** Copies of every layer's output at the peak, on the way back: more than were measured (3.5 to 6.2, see DESIGN.md). */
const ACTIVATION_COPIES = 7
/** The weights, their gradients, and one more of them while they are drawn or read. */
const WEIGHT_COPIES = 3

/** Bytes that a batch's way through a network and back takes at its peak, beside what the process has anyway. */
export function signalMemory({ layers, totals }: Plan, batchSize: number): number {
  const outputs = layers.reduce((sum, { outputShape }) => sum + sizeOf(outputShape), 0)
  return outputs * batchSize * FLOAT32_BYTES * ACTIVATION_COPIES + totals.bytes * WEIGHT_COPIES
}

/** What it will take, where that is allowed; otherwise INVALID_REQUEST, with the batch that would be. */
export function affordableMemory(plan: Plan, batchSize: number, budget: number, pointer: string): number {
  const bytes = signalMemory(plan, batchSize)
  if (bytes <= budget) return bytes
  const perImage = signalMemory(plan, 1) - signalMemory(plan, 0)
  const most = Math.floor((budget - signalMemory(plan, 0)) / perImage)
  const cure = most < 1 ? 'a smaller network or input_shape' : `at most ${String(most)} images in a batch`
  throw fieldError(
    pointer,
    `would take about ${gigabytes(bytes)} GB for ${String(batchSize)} images, more than the ${gigabytes(budget)} GB of ANALYSIS_MEMORY_BYTES; ask for ${cure}`,
  )
}

function gigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(2)
}
