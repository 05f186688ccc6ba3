import { sizeOf } from '../initializers/fans.ts'
import type { Plan } from '../network/plan.ts'
import type { Specification } from '../network/specification.ts'

/*
 * Fitted to the growth of an engine's anonymous memory per further model, after its build and a batch of 8, on two
 * cores (`node bench/parts/memory.mjs`): within a quarter for networks with 0.002 to 477 MB of variables and 3 to
 * 155 convolutions.
 */
/** Two sessions: their original and optimized graphs, and the executors of the fetches. */
const MODEL_BYTES = 2 ** 20
/** A convolution's nodes and oneDNN's primitives, in both halves of a split batch. */
const CONVOLUTION_BYTES = 160 * 2 ** 10
/**
 * oneDNN keeps a copy of the filter for each convolution node, beside the variable. A split network has two nodes.
 */
const FILTER_COPIES = { whole: 1.1, split: 2.3 } as const

/**
 * Largest number of blocks of a network with split batches. TensorFlow has twice as many nodes to optimize then,
 * which delays ResNet-50 (16 blocks) by a tenth of a second and would delay ResNet-152 (50) by half a second.
 */
const MAX_SPLIT_BLOCKS = 32

/** True if the network is small enough for split batches, on devices that benefit from them. */
export function isSplittable({ architecture: { stages } }: Pick<Specification, 'architecture'>): boolean {
  return stages.reduce((sum, stage) => sum + stage.blocks, 0) <= MAX_SPLIT_BLOCKS
}

/**
 * Estimates the bytes of an engine's memory for a resident model: variables, oneDNN's filters, graphs and
 * executors. Too high if batches are not split (one thread, a GPU) or if oneDNN computes bfloat16 without its own
 * filters.
 */
export function estimateFootprint({
  specification,
  parameters,
  totals,
}: Pick<Plan, 'specification' | 'parameters' | 'totals'>): number {
  const convolutions = parameters.filter(({ role, shape }) => role === 'kernel' && shape.length === 4)
  const values = convolutions.reduce((sum, { shape }) => sum + sizeOf(shape), 0)
  const filters = values * (specification.precision === 'bfloat16' ? 2 : 4)
  const others = totals.bytes - 4 * values
  const copies = FILTER_COPIES[isSplittable(specification) ? 'split' : 'whole']
  return Math.ceil(MODEL_BYTES + convolutions.length * CONVOLUTION_BYTES + filters * (1 + copies) + others)
}
