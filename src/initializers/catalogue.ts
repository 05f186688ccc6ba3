import Type, { type TObject, type TProperties } from 'typebox'
import { fieldError, fieldErrors, ServiceError } from '../common/errors.ts'
import { withDefaults, withoutDefaults } from '../common/canonical-json.ts'
import { closed } from '../common/schema.ts'
import { checker, didYouMean, type Checker } from '../common/validation.ts'
import { definitions } from './definitions.ts'
import {
  Seed,
  type Initializer,
  type InitializerDefinition,
  type InitializerReference,
} from './initializer.ts'
import { affineOf, type Law } from './law.ts'
import { countOperations } from './cost.ts'

/** Names of `tf.contrib.layers.xavier_initializer(uniform=True)`. Their `uniform` selects one of two classes. */
const XAVIER = ['xavier_initializer', 'xavier_initializer_conv2d']
const xavierConfig = closed({ uniform: Type.Optional(Type.Boolean({ default: true })), seed: Seed })

interface Entry {
  /** The config of the name, with its defaults. */
  readonly config: TObject
  readonly check: Checker
  readonly ignoredFields: InitializerDefinition['ignoredFields']
  /** Maps a complete config under this name to the class and its config. */
  readonly initializer: (config: Readonly<Record<string, unknown>>) => Initializer
}

const byClass = new Map(definitions.map((definition) => [definition.name, definition]))
const byName: ReadonlyMap<string, Entry> = new Map([
  ...definitions.flatMap(({ name: class_name, aliases, config, ignoredFields }) =>
    Object.entries({ [class_name]: {}, ...aliases }).map(([name, defaults]): [string, Entry] => {
      const own = configWith(config, defaults)
      return [
        name,
        {
          config: own,
          check: checker(own),
          ignoredFields,
          initializer: (given) => ({ class_name, config: given }),
        },
      ]
    }),
  ),
  ...XAVIER.map((name): [string, Entry] => [
    name,
    {
      config: xavierConfig,
      check: checker(xavierConfig),
      ignoredFields: { dtype: 'float32' },
      initializer: ({ uniform, ...config }) => ({
        class_name: uniform === true ? 'GlorotUniform' : 'GlorotNormal',
        config,
      }),
    },
  ]),
])

function configWith({ properties }: TObject, defaults: Readonly<Record<string, unknown>>): TObject {
  const fields = Object.entries(properties).map(([name, field]) => [
    name,
    name in defaults ? Type.With(field, { default: defaults[name] }) : field,
  ])
  return closed(Object.fromEntries(fields) as TProperties)
}

/** Finds a definition by any of its names. Throws INITIALIZER_NOT_FOUND. */
export function definitionNamed(name: string): InitializerDefinition {
  return findDefinition(initializerNamed(name, {}))
}

/** All names except the class name. */
export function listAliases({ name, aliases }: InitializerDefinition): string[] {
  return [...Object.keys(aliases), ...(name === 'GlorotUniform' || name === 'GlorotNormal' ? XAVIER : [])]
}

/** The catalogue's entry of a name: its class, and the config of the name with its defaults. */
export function catalogueEntry(name: string) {
  const definition = definitionNamed(name)
  const { distribution, formula, reference, ranks, notes } = definition
  return {
    name: definition.name,
    aliases: listAliases(definition),
    parameters: entryNamed(name).config,
    ...{ distribution, formula, reference, ranks, notes },
  }
}

function findDefinition(initializer: Initializer): InitializerDefinition {
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
 * Completes a reference under any name to the class name and every config field. Throws INVALID_REQUEST with a
 * pointer below `pointer`. The class is looked up before its config is checked, so errors refer to that class's
 * fields.
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

/** Completes the config of a name that must exist. Throws INITIALIZER_NOT_FOUND. */
export function initializerNamed(name: string, config: Readonly<Record<string, unknown>>): Initializer {
  return completeConfig(entryNamed(name), config, '#/config')
}

function completeConfig(
  entry: Entry,
  given: Readonly<Record<string, unknown>>,
  pointer: string,
): Initializer {
  const own = Object.fromEntries(
    Object.entries(given).filter(([name, value]) => {
      if (!Object.hasOwn(entry.ignoredFields, name)) return true
      if (value === entry.ignoredFields[name]) return false
      throw fieldError(
        `${pointer}/${name}`,
        `is not supported; give ${JSON.stringify(entry.ignoredFields[name])}`,
      )
    }),
  )
  const errors = entry.check(own, pointer)
  if (errors.length > 0) throw fieldErrors(errors)
  const initializer = entry.initializer(withDefaults(entry.config, own) as Initializer['config'])
  const definition = findDefinition(initializer)
  const problem = definition.findProblem?.(initializer.config) ?? overflow(definition, initializer.config)
  if (problem !== undefined) throw fieldError(`${pointer}/${problem[0]}`, problem[1])
  const { class_name, config } = initializer
  return { class_name, config: definition.normalizeConfig?.(config) ?? config }
}

/** Range of each law's raw draws. TensorFlow's normals stay within 6. */
const REACH = { uniform: [0, 1], normal: [-6, 6], truncated_normal: [-2, 2] } as const

/**
 * Finds the config field that leads to values beyond float32, which would be infinite or NaN. Fans of 1 give the
 * largest values.
 */
function overflow(
  { law }: InitializerDefinition,
  config: Initializer['config'],
): [string, string] | undefined {
  const entries = extremes(law(config, [1, 1]))
  if (entries.every((entry) => Number.isFinite(Math.fround(entry)))) return undefined
  const numbers = Object.entries(config).flatMap(([name, value]): [string, number][] => {
    if (typeof value === 'number' && name !== 'seed') return [[name, Math.abs(value)]]
    return name === 'value' ? [[name, Infinity]] : []
  })
  const largest = numbers.sort(([, a], [, b]) => a - b).at(-1)
  return [largest?.[0] ?? '', 'gives values beyond float32']
}

function extremes(law: Law): readonly number[] {
  switch (law.kind) {
    case 'constant':
      return [law.value]
    case 'values':
      return law.values
    case 'bounded_normal':
      return [law.low, law.high]
    case 'uniform':
    case 'normal':
    case 'truncated_normal': {
      const { scale, offset } = affineOf(law)
      return REACH[law.kind].map((raw) => Math.fround(raw * scale) + offset)
    }
    default:
      return [law.gain]
  }
}

/**
 * The config of the canonical form: the fields that differ from the class's defaults. It may depend on the shapes
 * that the initializer is used for.
 */
export function minimalConfig(
  initializer: Initializer,
  shapes: readonly (readonly number[])[],
): Initializer['config'] {
  const { config, canonicalConfig } = findDefinition(initializer)
  return (
    canonicalConfig?.(initializer.config, shapes) ??
    (withoutDefaults(config, initializer.config) as Initializer['config'])
  )
}

/**
 * The law for a shape. Throws INVALID_REQUEST if the initializer does not support the shape: at `pointer`, or at a
 * field below `config` if that field is the cause. `name` is the parameter's name in the error.
 */
export function resolveLaw(
  initializer: Initializer,
  shape: readonly number[],
  pointer: string,
  { config = `${pointer}/config`, name }: { readonly config?: string; readonly name?: string } = {},
): Law {
  const definition = findDefinition(initializer)
  const refuse = (detail: string, field?: string): Error => {
    const subject = `${name === undefined ? '' : `${name}: `}${definition.name} `
    const cure = field === undefined ? '; use another shape, or another initializer for it' : ''
    return fieldError(field === undefined ? pointer : `${config}/${field}`, subject + detail + cure)
  }
  const { min, max } = definition.ranks
  const text = `[${shape.join(', ')}]`
  if (shape.length < min || shape.length > (max ?? Infinity))
    throw refuse(`needs a shape of ${rankText(definition.ranks)}, got ${text}`)
  const [field, reason] = definition.findShapeProblem?.(initializer.config, shape) ?? []
  if (reason !== undefined) throw refuse(`${reason}, got ${text}`, field)
  const law = definition.law(initializer.config, shape)
  const operations = countOperations(law, shape)
  if (operations > MAX_OPERATIONS) {
    const cost = `${operations.toExponential(1)} operations, more than ${MAX_OPERATIONS.toExponential(1)}`
    throw refuse(`costs ${cost} for the shape ${text}`)
  }
  return law
}

function rankText({ min, max }: InitializerDefinition['ranks']): string {
  if (max === min) return `rank ${String(min)}`
  return max === null ? `rank ${String(min)} or more` : `rank ${String(min)} to ${String(max)}`
}

/** Limit of the floating point operations of decompositions and products; more would take minutes. */
const MAX_OPERATIONS = 2e12
