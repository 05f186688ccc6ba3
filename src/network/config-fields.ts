import { isRecord, type Json } from '../common/canonical-json.ts'
import { fieldError, pointerTo, shownJson, shownName } from '../common/errors.ts'

/** Fields of untrusted JSON, with checks. All functions throw INVALID_REQUEST at the field's pointer. */
export class ConfigFields {
  readonly #fields: Json
  readonly #pointer: string

  constructor(value: unknown, pointer: string) {
    if (!isRecord(value)) throw fieldError(pointer, 'must be an object')
    this.#fields = value
    this.#pointer = pointer
  }

  has(name: string): boolean {
    return this.get(name) !== undefined
  }

  /** null counts as missing, as in Python's configurations. */
  get(name: string): unknown {
    return Object.hasOwn(this.#fields, name) ? (this.#fields[name] ?? undefined) : undefined
  }

  fail(name: string, detail: string): never {
    throw fieldError(pointerTo(this.#pointer, shownName(name)), detail)
  }

  number(name: string): number | undefined {
    const value = this.get(name)
    if (value === undefined || (typeof value === 'number' && Number.isFinite(value))) return value
    return this.fail(name, `must be a number, got ${this.#shown(value)}`)
  }

  /** An integer from 1 to the limit. */
  count(name: string, limit: number): number | undefined {
    const value = this.number(name)
    if (value === undefined || (Number.isInteger(value) && value >= 1 && value <= limit)) return value
    return this.fail(name, `must be an integer from 1 to ${String(limit)}, got ${String(value)}`)
  }

  flag(name: string): boolean | undefined {
    const value = this.get(name)
    if (value === undefined || typeof value === 'boolean') return value
    return this.fail(name, `must be true or false, got ${this.#shown(value)}`)
  }

  text(name: string): string | undefined {
    const value = this.get(name)
    if (value === undefined || (typeof value === 'string' && value.length <= 256)) return value
    return this.fail(name, `must be a text of at most 256 characters, got ${this.#shown(value)}`)
  }

  numbers(name: string, limit = 64): number[] | undefined {
    const value = this.get(name)
    if (value === undefined) return undefined
    const isNumber = (item: unknown): item is number => Number.isFinite(item)
    if (Array.isArray(value) && value.length <= limit && value.every(isNumber)) return value
    return this.fail(name, `must be a list of at most ${String(limit)} numbers, got ${this.#shown(value)}`)
  }

  object(name: string): ConfigFields | undefined {
    const value = this.get(name)
    return value === undefined
      ? undefined
      : new ConfigFields(value, pointerTo(this.#pointer, shownName(name)))
  }

  keys(): string[] {
    return Object.keys(this.#fields)
  }

  #shown(value: unknown): string {
    if (typeof value === 'object') return Array.isArray(value) ? 'a list' : 'an object'
    return shownName(shownJson(value) ?? 'nothing')
  }
}
