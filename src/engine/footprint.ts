import { sizeOf } from '../initializers/fans.ts'
import type { Plan } from '../network/plan.ts'
import type { Specification } from '../network/specification.ts'

/*
 * Fitted to what an engine's anonymous memory grows by with each further model, built and asked for a batch of 8, on two
 * cores (`node bench/parts/memory.mjs`): within a quarter for networks from 0.002 to 477 MB of variables and 3 to 155
 * convolutions.
 */
/** Two sessions: their graphs, as they came and as they were optimized, and the executors of what is fetched. */
const MODEL_BYTES = 2 ** 20
/** A convolution's nodes and oneDNN's primitives, in both halves. */
const CONVOLUTION_BYTES = 160 * 2 ** 10
/** oneDNN keeps a filter of its own for each convolution node, beside the variable; halves have two. */
const FILTER_COPIES = { whole: 1.1, halved: 2.3 } as const

/**
 * Blocks of a network that is computed in halves. TensorFlow has twice as much to optimize then: ResNet-50 (16 blocks) is
 * there a tenth later, ResNet-152 (50) would be half a second.
 */
const MAX_SPLIT_BLOCKS = 32

/** Whether a network is small enough for its batches to be computed in halves, where the device gains by that. */
export function isSplittable({ architecture: { stages } }: Pick<Specification, 'architecture'>): boolean {
  return stages.reduce((sum, stage) => sum + stage.blocks, 0) <= MAX_SPLIT_BLOCKS
}

/**
 * Bytes of an engine's memory that a resident model takes: variables, oneDNN's filters, graphs and executors. More than it
 * is where nothing is computed in halves (one thread, a GPU) or oneDNN computes bfloat16 without filters of its own.
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
  const copies = FILTER_COPIES[isSplittable(specification) ? 'halved' : 'whole']
  return Math.ceil(MODEL_BYTES + convolutions.length * CONVOLUTION_BYTES + filters * (1 + copies) + others)
}
