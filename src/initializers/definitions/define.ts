import Type from 'typebox'
import type { InitializerDefinition } from '../initializer.ts'
import { describeFrameworks, type Frameworks } from './frameworks.ts'

export const number = (value: number, description: string, limits: object = {}) =>
  Type.Optional(Type.Number({ default: value, description, ...limits }))

export const KERAS = 'keras/src/initializers/random_initializers.py'
export const TORCH = 'torch/nn/init.py'

/** A remark on every class that draws. */
export const SEEDS =
  'A seed gives the same numbers in Keras 3, and in TensorFlow v2 for seeds 0 to 2147483645; it gives other numbers in TensorFlow v1 (stateful), JAX (threefry) and torch (Mersenne twister).'
/** A remark on classes for which TensorFlow has no stateless draw of that name. */
export const SAME_DISTRIBUTION =
  'The distribution is the same as in the frameworks that have this initializer; the numbers of a seed are specific to this service.'
/** A remark on every class. */
const NO_EMPTY_SHAPES = 'Zero-size shapes are rejected; TensorFlow and Keras accept them.'

/** Fields that `define` sets or that have defaults. */
type Common = 'name' | 'aliases' | 'ignoredFields' | 'reference' | 'ranks' | 'notes'
/**
 * The description of a class. `config`, `law`, `distribution`, `formula` and `frameworks` are required. `reference`
 * defaults to init_ops.py, `ranks` to all ranks.
 */
export interface Description
  extends
    Omit<InitializerDefinition, Common>,
    Partial<Pick<InitializerDefinition, Exclude<Common, 'notes'>>> {
  /** Names in addition to the class name in snake case and the `*_initializer` of init_ops.py. */
  readonly otherNames?: readonly string[]
  /** The defaults of the name in init_ops.py where they differ; null if init_ops.py has no such name. */
  readonly v1?: Readonly<Record<string, unknown>> | null
  /** The initializer in other frameworks. */
  readonly frameworks: Frameworks
  /** Sentences of the notes after the frameworks. */
  readonly remarks?: readonly string[]
}

/** Defines a class. `HeNormal` also has the names `he_normal`, `he_normal_initializer` and its `otherNames`. */
export function define(
  name: string,
  { otherNames = [], v1 = {}, ignoredFields, frameworks, remarks = [], ...described }: Description,
): InitializerDefinition {
  const word = name.replaceAll(/(?<=[a-z])(?=[A-Z0-9])/g, '_').toLowerCase()
  const same = Object.fromEntries([word, ...otherNames].map((alias) => [alias, {}]))
  return {
    name,
    aliases: { ...same, ...(v1 && { [`${word}_initializer`]: v1 }) },
    // Configs of init_ops.py contain their dtype.
    ignoredFields: { dtype: 'float32', ...ignoredFields },
    reference: 'tensorflow/python/ops/init_ops.py',
    ranks: { min: 0, max: null },
    ...described,
    notes: [describeFrameworks(frameworks), ...remarks, NO_EMPTY_SHAPES].join(' '),
  }
}
