import Type, { type TObject } from 'typebox'
import { fieldError, fieldErrors, ServiceError } from '../errors.ts'
import { checker, didYouMean, type Checker } from '../validation.ts'
import { definitions } from './definitions.ts'
import type { Initializer, InitializerDefinition, InitializerReference } from './initializer.ts'
import { sizeOf } from './fans.ts'
import type { Law } from './law.ts'

/**
 * `tf.contrib.layers.xavier_initializer(uniform=True)`: a word of the article's that stands for one of two classes.
 */
const XAVIER = 'xavier_initializer'
const xavierConfig = Type.Object(
  {
    uniform: Type.Optional(Type.Boolean({ default: true })),
    seed: Type.Optional(
      Type.Union([Type.Null(), Type.Integer(), Type.Array(Type.Integer(), { minItems: 2, maxItems: 2 })], {
        default: null,
      }),
    ),
  },
  { additionalProperties: false },
)

interface Entry {
  readonly config: TObject
  readonly check: Checker
  /** The class a checked config under this name stands for, with the config's fields filled in. */
  readonly complete: (config: Readonly<Record<string, unknown>>) => Initializer
}

const byClass = new Map(definitions.map((definition) => [definition.name, definition]))
const byName: ReadonlyMap<string, Entry> = new Map([
  ...definitions.flatMap((definition) => {
    const check = checker(definition.config)
    const classDefaults = defaultsOf(definition.config)
    const names: [string, object][] = [[definition.name, {}], ...Object.entries(definition.aliases)]
    return names.map(([name, aliasDefaults]): [string, Entry] => [
      name,
      {
        config: definition.config,
        check,
        complete: (config) => ({
          class_name: definition.name,
          config: { ...classDefaults, ...aliasDefaults, ...config },
        }),
      },
    ])
  }),
  [
    XAVIER,
    {
      config: xavierConfig,
      check: checker(xavierConfig),
      complete: ({ uniform, seed }) => ({
        class_name: uniform === false ? 'GlorotNormal' : 'GlorotUniform',
        config: { seed: seed ?? null },
      }),
    },
  ],
])

function defaultsOf(schema: TObject): Record<string, unknown> {
  const properties = Object.entries(schema.properties) as [string, { default?: unknown }][]
  return Object.fromEntries(properties.map(([name, { default: value }]) => [name, value]))
}

/** The definition under any of its names; INITIALIZER_NOT_FOUND otherwise. */
export function definitionNamed(name: string): InitializerDefinition {
  return definitionOf(entryNamed(name).complete({}))
}

/** Every name an initializer goes by, the article's own word included. */
export function aliasesOf(definition: InitializerDefinition): string[] {
  const articles = definition.name === 'GlorotUniform' || definition.name === 'GlorotNormal' ? [XAVIER] : []
  return [...Object.keys(definition.aliases), ...articles]
}

function definitionOf(initializer: Initializer): InitializerDefinition {
  const definition = byClass.get(initializer.class_name)
  if (definition === undefined)
    throw new TypeError(`${initializer.class_name} is not a class of the catalogue`)
  return definition
}

function entryNamed(name: string): Entry {
  const entry = byName.get(name)
  if (entry === undefined) throw new ServiceError('INITIALIZER_NOT_FOUND', unknownName(name))
  return entry
}

function unknownName(name: string): string {
  return `${JSON.stringify(name)} is not a known initializer; ${didYouMean(name, [...byName.keys()])}`
}

/**
 * A reference under any name, made complete: the class's own name, every config field filled in.
 * Throws INVALID_REQUEST with a pointer below `pointer`. The class is looked up first, then its config is checked
 * by that class's own schema, so that the error speaks of the class that was meant.
 */
export function completeInitializer(reference: InitializerReference, pointer: string): Initializer {
  const [name, config, namePointer] =
    typeof reference === 'string'
      ? [reference, {}, pointer]
      : [reference.class_name, reference.config ?? {}, `${pointer}/class_name`]
  const entry = byName.get(name)
  if (entry === undefined) throw fieldError(namePointer, unknownName(name))
  return completeConfig(entry, config, `${pointer}/config`)
}

/** The same for a name that is already known to be one, with a config of its own. */
export function initializerNamed(name: string, config: Readonly<Record<string, unknown>>): Initializer {
  return completeConfig(entryNamed(name), config, '#/config')
}

function completeConfig(
  entry: Entry,
  config: Readonly<Record<string, unknown>>,
  pointer: string,
): Initializer {
  const errors = entry.check(config, pointer)
  if (errors.length > 0) throw fieldErrors(errors)
  const initializer = entry.complete(config)
  const problem = definitionOf(initializer).problem?.(initializer.config)
  if (problem !== undefined) throw fieldError(`${pointer}/${problem[0]}`, problem[1])
  return initializer
}

/** Config fields that differ from the class's defaults: what the canonical form keeps. */
export function minimalConfig(initializer: Initializer): Record<string, unknown> {
  const defaults = defaultsOf(definitionOf(initializer).config)
  return Object.fromEntries(
    Object.entries(initializer.config).filter(
      ([name, value]) => JSON.stringify(value) !== JSON.stringify(defaults[name]),
    ),
  )
}

/** The law for a shape; INVALID_REQUEST at `pointer` where the initializer does not take the shape's rank. */
export function lawOf(initializer: Initializer, shape: readonly number[], pointer: string): Law {
  const { name, ranks, law } = definitionOf(initializer)
  if (shape.length < ranks.min || (ranks.max !== null && shape.length > ranks.max)) {
    const wanted = ranks.max === ranks.min ? `rank ${String(ranks.min)}` : `rank ${String(ranks.min)} or more`
    throw fieldError(pointer, `${name} needs a shape of ${wanted}, got [${shape.join(', ')}]`)
  }
  const found = law(initializer.config, shape)
  if (found.kind === 'orthogonal') assertAffordable(shape, pointer)
  return found
}

/** A QR decomposition costs about 4 rows columns^2 operations; beyond this it takes minutes. */
const MAX_QR_OPERATIONS = 2e12

function assertAffordable(shape: readonly number[], pointer: string): void {
  const columns = shape.at(-1) ?? 1
  const rows = sizeOf(shape) / columns
  const operations = 4 * Math.max(rows, columns) * Math.min(rows, columns) ** 2
  if (operations <= MAX_QR_OPERATIONS) return
  const cost = `${operations.toExponential(1)} operations, more than ${MAX_QR_OPERATIONS.toExponential(1)}`
  throw fieldError(
    pointer,
    `an orthogonal [${String(rows)}, ${String(columns)}] matrix costs ${cost}; use another initializer`,
  )
}
