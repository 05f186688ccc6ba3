import Type, { type Static, type TObject } from 'typebox'
import { answer, closed, nullable } from '../common/schema.ts'
import type { Law } from './law.ts'
import type { SeedVector } from './seeds.ts'

/** JSON parsers round larger numbers, so two seeds could become one. */
export const SafeInteger = Type.Integer({
  minimum: Number.MIN_SAFE_INTEGER,
  maximum: Number.MAX_SAFE_INTEGER,
})
/** Errors repeat the name, so its length is limited. */
export const NAME_LENGTH = { maxLength: 256 }
export const SeedPair = Type.Array(SafeInteger, { minItems: 2, maxItems: 2 })
/** The seed in a config. */
export const Seed = Type.Optional(
  Type.Union([Type.Null(), SafeInteger, SeedPair], {
    default: null,
    description: 'An integer n is the seed vector [n, 0]; null uses the seed of the parameter',
  }),
)

/** A complete initializer: the class name and every field of its config. */
export const CompleteInitializer = answer('CompleteInitializer', {
  class_name: Type.String(),
  config: Type.Record(Type.String(), Type.Unknown()),
})
export type Initializer = Static<typeof CompleteInitializer>

/**
 * An initializer in a request: any name or alias, or Keras's serialization. Keras 3 adds `module` and
 * `registered_name`; they do not affect the values.
 */
export const InitializerReference = Type.Union(
  [
    Type.String({ ...NAME_LENGTH, description: 'Any name of the catalogue' }),
    closed({
      class_name: Type.String(NAME_LENGTH),
      config: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
      module: Type.Optional(nullable(Type.String())),
      registered_name: Type.Optional(nullable(Type.String())),
    }),
  ],
  { title: 'InitializerReference' },
)
export type InitializerReference = Static<typeof InitializerReference>

/**
 * One initializer of the catalogue: pure functions of a config and a shape. The caller validates the config
 * (`config`, `findProblem`) and the shape (`ranks`, `findShapeProblem`) before it calls `law`.
 */
export interface InitializerDefinition {
  readonly name: string
  /** Other names, each with the defaults that differ from the class's. */
  readonly aliases: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  /** The schema of the config, with defaults. */
  readonly config: TObject
  /**
   * Config fields without effect, each with its only accepted value. Other frameworks write them, such as `dtype`:
   * 'float32' in configs of init_ops.py and `input_axes`: null in Keras's.
   */
  readonly ignoredFields: Readonly<Record<string, unknown>>
  /**
   * Finds an invalid combination of fields, which a schema cannot express. Returns the name of the field and the
   * detail of the error.
   */
  readonly findProblem?: (config: Readonly<Record<string, unknown>>) => readonly [string, string] | undefined
  /** Replaces equivalent configs by one of them. */
  readonly normalizeConfig?: (config: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>
  /**
   * Returns the config in the canonical form, from which ids are computed. `shapes` are the shapes of the parameters
   * that use the initializer. Without this function the canonical config has the fields that differ from their
   * defaults.
   */
  readonly canonicalConfig?: (
    config: Readonly<Record<string, unknown>>,
    shapes: readonly (readonly number[])[],
  ) => Readonly<Record<string, unknown>>
  /**
   * Finds the reason why the config does not fit a shape within `ranks`. Returns the name of the field that is the
   * cause, undefined if only the shape is, and the detail of the error.
   */
  readonly findShapeProblem?: (
    config: Readonly<Record<string, unknown>>,
    shape: readonly number[],
  ) => readonly [string | undefined, string] | undefined
  /** Computes the law of a tensor: the distribution with the numbers that draws, theory and tests use. */
  readonly law: (config: Readonly<Record<string, unknown>>, shape: readonly number[]) => Law
  /**
   * The kind of distribution as a text of the catalogue. It has no numbers, because they depend on config and shape.
   */
  readonly distribution: string
  /** The distribution as a formula of the config, for the catalogue. */
  readonly formula: string
  /** The paper or source file that defines it. */
  readonly reference: string
  readonly ranks: { readonly min: number; readonly max: number | null }
  readonly notes: string
}

/** The seed of the config. With null or without one, the parameter that uses the initializer provides the seed. */
export function ownSeed(initializer: Initializer): SeedVector | undefined {
  const seed = initializer.config['seed'] as number | readonly [number, number] | null | undefined
  if (seed === null || seed === undefined) return undefined
  return typeof seed === 'number' ? [seed, 0] : seed
}
