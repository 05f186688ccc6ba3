import { philox, type Key, type Words } from './philox.ts'

/**
 * The source of one tensor's draws: a seed and the number of the draw, as counted by `keras.random.SeedGenerator`.
 */
export type SeedVector = readonly [seed: number, draw: number]

/** Philox state at the first value of a tensor. */
export interface Stream {
  readonly key: Key
  readonly counter: Words
}

/** Keras 3 reduces seeds to int32 by this modulus (`keras/src/backend/tensorflow/random.py: _cast_seed`). */
const SEED_MODULUS = 2147483646

const SCRAMBLE_KEY: Key = [0x3ec8f720, 0x02461e29]

function toInt32Seed(value: number): number {
  return ((value % SEED_MODULUS) + SEED_MODULUS) % SEED_MODULUS
}

/**
 * TensorFlow's StatelessRandomGetKeyCounter (`stateless_random_ops.cc: GenerateKey`): one Philox block scrambles
 * the seed vector into the key and the upper half of the counter.
 */
export function deriveStream([seed, draw]: SeedVector): Stream {
  const mixed = philox(SCRAMBLE_KEY, [toInt32Seed(seed), 0, toInt32Seed(draw), 0])
  return { key: [mixed[0], mixed[1]], counter: [0, 0, mixed[2], mixed[3]] }
}
