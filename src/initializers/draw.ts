import { computeQuantiles, type BoundedNormal } from './bounded-normal.ts'
import { sizeOf } from './fans.ts'
import { affineOf, isFixed, type FixedLaw, type Law, type RandomLaw } from './law.ts'
import type { DrawOps, DrawStream } from './ops.ts'
import { atTap, drawConvolutionOrthogonal, drawDeltaOrthogonal, drawOrthogonal } from './orthogonal.ts'
import { deriveStream, type SeedVector } from './seeds.ts'

/**
 * Draws a tensor of a law from a seed vector: the bytes that Keras 3 on TensorFlow draws, for laws that Keras has.
 */
export function draw<T>(ops: DrawOps<T>, law: Law, shape: readonly number[], seed: SeedVector): T {
  if (isFixed(law)) return fixed(ops, law, shape)
  const stream = (count: number): DrawStream<T> => {
    const { key, counter } = deriveStream(seed)
    return ops.stream(key, counter, count)
  }
  const normals = (count: number): T => ops.random('normal', stream(count))
  switch (law.kind) {
    case 'orthogonal':
      return drawOrthogonal(ops, law.gain, shape, normals)
    case 'delta_orthogonal':
      return drawDeltaOrthogonal(ops, law.gain, shape, normals)
    case 'convolution_orthogonal':
      return drawConvolutionOrthogonal(ops, law.gain, shape, normals)
    case 'bounded_normal': {
      const numbers = boundedNumbers(law)
      const each = BOUNDED_NUMBERS.map((name) => [name, ops.double(numbers[name])] as const)
      const values = Object.fromEntries(each) as BoundedNumbers<T>
      return ops.reshape(drawBounded(ops, stream(sizeOf(shape)), values), shape)
    }
    default: {
      const { scale, offset } = affineOf(law)
      const drawn = stream(sizeOf(shape))
      const flat = drawElementwise(ops, law.kind, drawn, ops.scalar(scale), ops.scalar(offset))
      return ops.reshape(flat, shape)
    }
  }
}

function fixed<T>(ops: DrawOps<T>, law: FixedLaw, shape: readonly number[]): T {
  const [inputs = 1, outputs = 1] = shape.slice(-2)
  switch (law.kind) {
    case 'constant':
      return ops.fill(shape, law.value)
    case 'values': {
      const { values, dimensions } = law
      if (dimensions) return ops.broadcast(ops.reshape(ops.values(values), dimensions), shape)
      const padding = sizeOf(shape) - values.length
      const last = ops.scalar(values.at(-1) ?? 0)
      return ops.reshape(ops.pad(ops.values(values), [[0, padding]], last), shape)
    }
    case 'identity':
      return ops.eye(inputs, outputs, law.gain)
    case 'dirac': {
      const group = ops.eye(inputs, outputs / law.groups, law.gain)
      return atTap(ops, ops.tile(group, [1, law.groups]), shape, (size) => Math.floor(size / 2))
    }
  }
}

/**
 * Independent draws, flat: raw * scale + offset, rounded twice as in TensorFlow. `stream` may be any slice of a
 * tensor's stream.
 */
export function drawElementwise<T>(
  ops: DrawOps<T>,
  kind: RandomLaw['kind'],
  stream: DrawStream<T>,
  scale: T,
  offset: T,
): T {
  return ops.sum(ops.mul(ops.random(kind, stream), scale), offset)
}

/** Inputs of `drawBounded`, all float64. */
export const BOUNDED_NUMBERS = ['lowest', 'mass', 'scale', 'offset', 'low', 'high'] as const
export type BoundedNumbers<N> = Readonly<Record<(typeof BOUNDED_NUMBERS)[number], N>>

export function boundedNumbers(law: BoundedNormal): BoundedNumbers<number> {
  const { lowest, mass, mirrored } = computeQuantiles(law)
  return {
    ...{ lowest, mass, scale: mirrored ? -law.std : law.std, offset: law.mean },
    ...{ low: law.low, high: law.high },
  }
}

/**
 * Independent draws of a normal between bounds, flat, by inverting its distribution function: one uniform gives one
 * value, so any slice of a stream gives that slice of the tensor. Redrawing would not, for arbitrary bounds. The
 * computation is float64, because the 23 bits of a float32 uniform omit the tails and TensorFlow's float32
 * quantiles are accurate to 6e-7 only.
 */
export function drawBounded<T>(
  ops: DrawOps<T>,
  stream: DrawStream<T>,
  { lowest, mass, scale, offset, low, high }: BoundedNumbers<T>,
): T {
  const probability = ops.sum(ops.mul(ops.fineUniform(stream), mass), lowest)
  const value = ops.sum(ops.mul(ops.normalQuantile(probability), scale), offset)
  return ops.narrow(ops.clip(value, low, high))
}
