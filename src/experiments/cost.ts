import Type, { type Static } from 'typebox'
import { answer } from '../common/schema.ts'
import type { Plan } from '../network/plan.ts'

export const Cost = answer('ExperimentCost', {
  runs: Type.Integer(),
  steps: Type.Integer({ description: 'Steps of all runs together' }),
  multiply_adds: Type.Number({ description: 'Multiply-adds of all steps, forward and backward' }),
  estimated_seconds: Type.Number({ description: 'Estimate for two idle processors' }),
})
export type Cost = Static<typeof Cost>

/**
 * Fitted to the shortest measured steps of ResNet-20 with 64 pictures, with and without norms, on two cores with
 * AVX2.
 */
const MS_PER_LAYER = 0.35
const MULTIPLY_ADDS_PER_MS = 2e7
/** The backward pass costs twice the forward pass: derivatives by inputs and by weights. */
const FORWARD_AND_BACK = 3

/** The cost of `runs` trainings of a network with `steps` steps each. */
export function computeCost(
  { layers, totals }: Plan,
  { runs, steps, batchSize }: { readonly runs: number; readonly steps: number; readonly batchSize: number },
): Cost {
  const all = runs * steps
  const multiplyAdds = FORWARD_AND_BACK * totals.multiplyAdds * batchSize
  const ms = layers.length * MS_PER_LAYER + multiplyAdds / MULTIPLY_ADDS_PER_MS
  return {
    runs,
    steps: all,
    multiply_adds: all * multiplyAdds,
    estimated_seconds: Number(((all * ms) / 1000).toPrecision(2)),
  }
}
