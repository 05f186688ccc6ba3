import { invalidWeights } from '../../common/errors.ts'
import { damagedPytorch, SAVE_STATE_DICT } from './errors.ts'
import type { PickleBytes } from './pickle-bytes.ts'
import type { Value } from './values.ts'

/** A state_dict has some 10 values per tensor. */
const MAX_VALUES = 500_000
/** Python writes at most 1,000 items between a MARK and its end, except for tuples. */
const MAX_STACK = 100_000
const MAX_MARKS = 1_000

/** The stack and the memo of a pickle, with limits. */
export class PickleMachine {
  readonly bytes: PickleBytes
  readonly #stack: Value[] = []
  /** Heights of the stack at each MARK. */
  readonly #marks: number[] = []
  /** By number. Python numbers the values from 0 on. */
  readonly #memo: (Value | undefined)[] = []
  #memoSize = 0
  #values = 0

  constructor(bytes: PickleBytes) {
    this.bytes = bytes
  }

  /** Pushes a new value. */
  create(value: Value): void {
    this.#values += 1
    if (this.#values > MAX_VALUES) throw tooLarge('values', MAX_VALUES)
    this.push(value)
  }

  push(value: Value): void {
    if (this.#stack.length >= MAX_STACK) throw tooLarge('values on its stack', MAX_STACK)
    this.#stack.push(value)
  }

  pop(): Value {
    const value = this.top()
    this.#stack.pop()
    return value
  }

  top(): Value {
    const value = this.#stack.length > (this.#marks.at(-1) ?? 0) ? this.#stack.at(-1) : undefined
    if (value === undefined) throw damagedPytorch('its pickle takes a value from an empty stack')
    return value
  }

  mark(): void {
    if (this.#marks.length >= MAX_MARKS) throw tooLarge('nested values', MAX_MARKS)
    this.#marks.push(this.#stack.length)
  }

  /** Removes the values since the last MARK. */
  popToMark(): Value[] {
    const mark = this.#marks.pop()
    if (mark === undefined) throw damagedPytorch('its pickle lacks a MARK')
    return this.#stack.splice(mark)
  }

  popTuple(length: number): void {
    const items = Array.from({ length }, () => this.pop()).reverse()
    this.create({ kind: 'tuple', items })
  }

  save(key = this.#memoSize): void {
    if (key >= MAX_VALUES) throw tooLarge('remembered values', MAX_VALUES)
    if (this.#memo[key] === undefined) this.#memoSize += 1
    this.#memo[key] = this.top()
  }

  load(key: number): void {
    const value = this.#memo[key]
    if (value === undefined) throw damagedPytorch('its pickle refers to a value that it lacks')
    this.push(value)
  }
}

export function tooLarge(what: string, limit: number) {
  return invalidWeights(`has a pickle with more than ${String(limit)} ${what}; ${SAVE_STATE_DICT}`)
}
