import type { Progress } from '../common/cancellation.ts'
import { fromPlainError, type Answer } from './messages.ts'

type CallAnswer = Extract<Answer, { kind: 'progress' | 'result' | 'error' }>

interface PendingCall {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
  readonly progress: ((progress: Progress) => void) | undefined
  /** The caller has aborted; the child may still work on the call. */
  cancelled: boolean
}

/** The calls that a child has not answered yet, by id. A cancelled call stays until the child has stopped working on it. */
export class PendingCalls {
  readonly #calls = new Map<number, PendingCall>()
  #lastId = 0

  get size(): number {
    return this.#calls.size
  }

  add(progress: PendingCall['progress']): { readonly id: number; readonly result: Promise<unknown> } {
    const id = ++this.#lastId
    const result = new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject, progress, cancelled: false })
    })
    return { id, result }
  }

  settle(answer: CallAnswer): void {
    const call = this.#calls.get(answer.id)
    if (call === undefined) return
    if (answer.kind === 'progress') {
      if (!call.cancelled) call.progress?.(answer.progress)
      return
    }
    this.#calls.delete(answer.id)
    if (answer.kind === 'result') call.resolve(answer.result)
    else call.reject(fromPlainError(answer.error))
  }

  /** Marks a call as cancelled. Returns false if it is no longer pending. */
  cancel(id: number): boolean {
    const call = this.#calls.get(id)
    if (call === undefined) return false
    call.cancelled = true
    return true
  }

  reject(id: number, error: Error): void {
    const call = this.#calls.get(id)
    this.#calls.delete(id)
    call?.reject(error)
  }

  rejectAll(createError: () => Error): void {
    const calls = [...this.#calls.values()]
    this.#calls.clear()
    for (const { reject } of calls) reject(createError())
  }
}
