/**
 * What a pickle describes, as plain records. Nothing is called or imported, and nothing may walk through these values
 * to an unlimited depth: a pickle can contain a value in itself.
 */
export type Value =
  null | boolean | number | bigint | string | Sequence | Dictionary | Class | Storage | PickledTensor | Inert

export interface List {
  readonly kind: 'list'
  readonly items: Value[]
}

export interface Tuple {
  readonly kind: 'tuple'
  readonly items: readonly Value[]
}

export interface Dictionary {
  readonly kind: 'dict'
  readonly entries: Map<Value, Value>
}

/** A class or function, by its full name. */
export interface Class {
  readonly kind: 'class'
  readonly name: string
}

/** The entry `data/{key}` of the archive, which holds `count` values; `dtype` is undefined for bytes of any type. */
export interface Storage {
  readonly kind: 'storage'
  readonly key: string
  readonly dtype: string | undefined
  readonly count: number
}

/** A view of a storage. `offset` and `strides` count elements; no position is checked yet. */
export interface PickledTensor {
  readonly kind: 'tensor'
  readonly storage: Storage
  readonly dtype: string
  readonly offset: number
  readonly shape: readonly number[]
  readonly strides: readonly number[]
}

/** A value that no state_dict needs, such as the arguments of a training script. */
export interface Inert {
  readonly kind: 'inert'
}

export const INERT: Inert = { kind: 'inert' }

export function isKind<K extends Exclude<Value, Scalar>['kind']>(
  value: Value | undefined,
  kind: K,
): value is Extract<Value, { readonly kind: K }> {
  return typeof value === 'object' && value !== null && value.kind === kind
}

type Scalar = null | boolean | number | bigint | string
