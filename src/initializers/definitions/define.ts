import Type from 'typebox'
import type { InitializerDefinition } from '../initializer.ts'

export const number = (value: number, description: string, limits: object = {}) =>
  Type.Optional(Type.Number({ default: value, description, ...limits }))

export const KERAS = 'keras/src/initializers/random_initializers.py'
export const TORCH = 'torch/nn/init.py'

/**
 * Notes list the differences under one name in this order: TensorFlow v1, v2, Keras, JAX, torch; then the
 * numbers.
 */
export const SAME = 'TensorFlow v1, v2, Keras, JAX and torch: the same.'
/** For every class that draws. */
export const SEEDS =
  'One seed gives the same numbers in Keras 3, and in TensorFlow v2 for seeds 0 to 2147483645; other ones in TensorFlow v1 (stateful), JAX (threefry) and torch (Mersenne twister).'
/** Of every class: what TensorFlow and Keras take and this service does not. */
const NO_EMPTY_SHAPES = 'Zero-size shapes are rejected, which TensorFlow and Keras accept.'
/** Of every class whose name TensorFlow has no stateless draw of. */
export const LAW_ONLY = 'The law is theirs; the numbers of a seed are of this service.'

type Common = 'name' | 'aliases' | 'written' | 'reference' | 'ranks'
export interface Description
  extends Omit<InitializerDefinition, Common>, Partial<Pick<InitializerDefinition, Common>> {
  /** Names in addition to the class name in lower case and init_ops's `*_initializer`. */
  readonly words?: readonly string[]
  /** Defaults of init_ops's name where v1 had others; null if init_ops has no such name. */
  readonly v1?: Readonly<Record<string, unknown>> | null
}

export function define(
  name: string,
  { words = [], v1 = {}, written, notes, ...described }: Description,
): InitializerDefinition {
  const word = name.replaceAll(/(?<=[a-z])(?=[A-Z0-9])/g, '_').toLowerCase()
  const same = Object.fromEntries([word, ...words].map((alias) => [alias, {}]))
  return {
    name,
    aliases: { ...same, ...(v1 && { [`${word}_initializer`]: v1 }) },
    // Configs of init_ops contain their dtype.
    written: { dtype: 'float32', ...written },
    reference: 'tensorflow/python/ops/init_ops.py',
    ranks: { min: 0, max: null },
    ...described,
    notes: `${notes} ${NO_EMPTY_SHAPES}`,
  }
}
