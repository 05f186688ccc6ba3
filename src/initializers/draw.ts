import { sizeOf } from './fans.ts'
import { affineOf, isElementwise, type ElementwiseLaw, type Law } from './law.ts'
import type { DrawOps, DrawStream } from './ops.ts'
import { streamOf, type SeedVector } from './seeds.ts'

/** A tensor of the given law and shape, from a seed vector: the bytes Keras 3 on TensorFlow draws for it. */
export function draw<T>(ops: DrawOps<T>, law: Law, shape: readonly number[], seed: SeedVector): T {
  if (isElementwise(law)) {
    const { scale, offset } = affineOf(law)
    const stream = seedStream(ops, seed, sizeOf(shape))
    return ops.reshape(drawElementwise(ops, law.kind, stream, ops.scalar(scale), ops.scalar(offset)), shape)
  }
  switch (law.kind) {
    case 'constant':
      return ops.fill(shape, law.value)
    case 'identity':
      return ops.eye(shape[0] ?? 1, shape[1] ?? 1, law.gain)
    case 'orthogonal':
      return drawOrthogonal(ops, law.gain, shape, seed)
  }
}

/** Independent draws, flat: raw * scale + offset, two roundings as in TensorFlow. Any slice of a tensor's stream. */
export function drawElementwise<T>(
  ops: DrawOps<T>,
  kind: ElementwiseLaw['kind'],
  stream: DrawStream<T>,
  scale: T,
  offset: T,
): T {
  return ops.sum(ops.mul(ops.random(kind, stream), scale), offset)
}

/**
 * `init_ops.py: Orthogonal`: QR of a normal matrix, taller than wide, the columns' signs fixed by R's diagonal so that
 * the distribution is uniform over orthogonal matrices.
 */
function drawOrthogonal<T>(ops: DrawOps<T>, gain: number, shape: readonly number[], seed: SeedVector): T {
  const columns = shape.at(-1) ?? 1
  const rows = sizeOf(shape) / columns
  const tall: [number, number] = [Math.max(rows, columns), Math.min(rows, columns)]
  const stream = seedStream(ops, seed, sizeOf(tall))
  const normal = drawElementwise(ops, 'normal', stream, ops.scalar(1), ops.scalar(0))
  const { q, r } = ops.qr(ops.reshape(normal, tall))
  const signed = ops.mul(q, ops.sign(ops.diagonal(r)))
  const matrix = rows < columns ? ops.transpose(signed) : signed
  return ops.mul(ops.reshape(matrix, shape), ops.scalar(Math.fround(gain)))
}

function seedStream<T>(ops: DrawOps<T>, seed: SeedVector, count: number): DrawStream<T> {
  const { key, counter } = streamOf(seed)
  return ops.stream(key, counter, count)
}
