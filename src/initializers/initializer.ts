import Type, { type Static, type TObject } from 'typebox'
import { answer, closed, nullable } from '../common/schema.ts'
import type { Law } from './law.ts'
import type { SeedVector } from './seeds.ts'

/** Larger JSON numbers are rounded when parsed, so two seeds could become one. */
export const SafeInteger = Type.Integer({
  minimum: Number.MIN_SAFE_INTEGER,
  maximum: Number.MAX_SAFE_INTEGER,
})
/** Longer than any existing name; errors repeat the name. */
export const NAME_LENGTH = { maxLength: 256 }
export const SeedPair = Type.Array(SafeInteger, { minItems: 2, maxItems: 2 })
/** The seed as a config field. */
export const Seed = Type.Optional(
  Type.Union([Type.Null(), SafeInteger, SeedPair], {
    default: null,
    description: 'An integer n is the seed vector [n, 0]; null takes the seed of the place of use',
  }),
)

/** A complete initializer: the class's own name and every field of its config. */
export const CompleteInitializer = answer('CompleteInitializer', {
  class_name: Type.String(),
  config: Type.Record(Type.String(), Type.Unknown()),
})
export type Initializer = Static<typeof CompleteInitializer>

/**
 * An initializer in a request: any name or alias, or Keras's serialization of one. Keras 3 writes `module`
 * and `registered_name` beside the class; they do not affect the values.
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
 * One initializer of the catalogue. Pure: shape and config in, law out; nothing is drawn here.
 * `law` may assume a config that satisfies `config` and `problem`, and a shape within `ranks` that is no misfit.
 */
export interface InitializerDefinition {
  readonly name: string
  /** Further names, each with its defaults where they differ from the class's. */
  readonly aliases: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  readonly config: TObject
  /** Fields that other frameworks write, each with its only accepted value. They have no effect. */
  readonly written: Readonly<Record<string, unknown>>
  /** Checks that no schema expresses: a wrong combination of fields, as [field, detail]. */
  readonly problem?: (config: Readonly<Record<string, unknown>>) => readonly [string, string] | undefined
  /** The config in its single form, where several mean the same. */
  readonly settled?: (config: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>
  /** The config as ids see it, by the shapes it is used for; without it, what differs from the defaults. */
  readonly identity?: (
    config: Readonly<Record<string, unknown>>,
    shapes: readonly (readonly number[])[],
  ) => Readonly<Record<string, unknown>>
  /** What a shape of these ranks lacks, or what the config asks too much of it: [the field, if one is wrong, detail]. */
  readonly misfit?: (
    config: Readonly<Record<string, unknown>>,
    shape: readonly number[],
  ) => readonly [string | undefined, string] | undefined
  readonly law: (config: Readonly<Record<string, unknown>>, shape: readonly number[]) => Law
  readonly distribution: string
  readonly formula: string
  readonly reference: string
  readonly ranks: { readonly min: number; readonly max: number | null }
  readonly notes: string
}

/** The config's own seed. Null or absent means the seed of the parameter that uses the initializer. */
export function ownSeed(initializer: Initializer): SeedVector | undefined {
  const seed = initializer.config['seed'] as number | readonly [number, number] | null | undefined
  if (seed === null || seed === undefined) return undefined
  return typeof seed === 'number' ? [seed, 0] : seed
}
