import { advance, philox } from '../initializers/philox.ts'
import { deriveStream } from '../initializers/seeds.ts'
import { DIGITS } from './data.ts'

/** Weights use the draws 0, 1, ... of their seed; batch orders start at a number that no weight reaches. */
const FIRST_DRAW = 2 ** 30

/** Steps per epoch. Pictures that do not fill a batch are dropped, different ones in each epoch. */
export function stepsPerEpoch(batchSize: number): number {
  return Math.floor(DIGITS.training / batchSize)
}

/** The pictures of each training step. The seed vector [seed, 2^30 + e] shuffles epoch e. */
export function drawBatches(seed: number, batchSize: number): (step: number) => readonly number[] {
  const steps = stepsPerEpoch(batchSize)
  let known: { readonly epoch: number; readonly order: readonly number[] } | undefined
  return (step) => {
    const epoch = Math.floor(step / steps)
    if (known?.epoch !== epoch) known = { epoch, order: shuffled(DIGITS.training, seed, epoch) }
    const start = (step % steps) * batchSize
    return known.order.slice(start, start + batchSize)
  }
}

/** Fisher-Yates shuffle. The bias of a 32-bit word is negligible for so few pictures. */
function shuffled(count: number, seed: number, epoch: number): number[] {
  const { key, counter } = deriveStream([seed, FIRST_DRAW + epoch])
  const order = Array.from({ length: count }, (_, index) => index)
  for (let last = count - 1; last > 0; last--) {
    const [word] = philox(key, advance(counter, last))
    const chosen = Math.floor((word / 2 ** 32) * (last + 1))
    ;[order[last], order[chosen]] = [order[chosen] ?? 0, order[last] ?? 0]
  }
  return order
}
