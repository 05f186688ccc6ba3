import { kindOf } from '../../engine/contract.ts'
import type { QueuedRequest } from './job.ts'

/** Jobs that go to the engine together. */
export interface Group {
  readonly jobs: readonly QueuedRequest[]
  /** Nothing that waits can be added. */
  readonly full: boolean
  /** Part of what the engine died over. */
  readonly addRetryGroup: boolean
}

/** What waits for one model, in order of coming; what the engine died over comes first, in groups of its own. */
export class ModelQueue {
  readonly model: string
  /** Milliseconds of the engine it had, as the batcher counts them, and what it will have had when its batches end. */
  usedMs = 0
  expectedMs = 0
  #jobs: QueuedRequest[] = []
  #retryGroups: QueuedRequest[][] = []

  constructor(model: string) {
    this.model = model
  }

  get empty(): boolean {
    return this.#jobs.length === 0 && this.#retryGroups.length === 0
  }

  /** Images that wait. */
  get images(): number {
    return this.#all.reduce((sum, { job }) => sum + job.count, 0)
  }

  add(waiting: QueuedRequest): void {
    this.#jobs.push(waiting)
  }

  /** Jobs that were on their way and wait again: before all others, joined as ever. */
  putBack(jobs: readonly QueuedRequest[]): void {
    this.#jobs.unshift(...jobs)
  }

  /** Jobs the engine died over: together, joined by nobody, and after the suspects that are there. */
  addRetryGroup(jobs: QueuedRequest[]): void {
    if (jobs.length > 0) this.#retryGroups.push(jobs)
  }

  remove(waiting: QueuedRequest): void {
    this.#jobs = this.#jobs.filter((one) => one !== waiting)
    this.#retryGroups = this.#retryGroups
      .map((group) => group.filter((one) => one !== waiting))
      .filter((group) => group.length > 0)
  }

  /** Empties the queue. */
  takeAll(): QueuedRequest[] {
    const all = this.#all
    this.#retryGroups = []
    this.#jobs = []
    return all
  }

  /** What would be computed next: the longest waiting job and all of its kind that fit with it. Nothing is taken. */
  next(maxImages: number): Group {
    const [suspects] = this.#retryGroups
    if (suspects !== undefined) return { jobs: suspects, full: true, addRetryGroup: true }
    const [first, ...others] = this.#jobs
    if (first === undefined || first.job.alone)
      return { jobs: first === undefined ? [] : [first], full: true, addRetryGroup: false }
    const jobs = [first]
    let images = first.job.count
    let leftOut = false
    for (const waiting of others) {
      if (waiting.job.alone || kindOf(waiting.job.values) !== kindOf(first.job.values)) continue
      if (images + waiting.job.count > maxImages) {
        leftOut = true
        continue
      }
      jobs.push(waiting)
      images += waiting.job.count
      if (images === maxImages) break
    }
    return { jobs, full: leftOut || images >= maxImages, addRetryGroup: false }
  }

  get #all(): QueuedRequest[] {
    return [...this.#retryGroups.flat(), ...this.#jobs]
  }

  take({ jobs, addRetryGroup: addRetryGroup }: Group): void {
    if (addRetryGroup) this.#retryGroups.shift()
    else this.#jobs = this.#jobs.filter((waiting) => !jobs.includes(waiting))
  }
}
