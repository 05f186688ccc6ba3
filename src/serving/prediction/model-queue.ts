import { kindOf } from '../../engine/contract.ts'
import type { Waiting } from './job.ts'

/** Jobs that go to the engine together. */
export interface Group {
  readonly jobs: readonly Waiting[]
  /** Nothing that waits can be added. */
  readonly full: boolean
  /** Part of what the engine died over. */
  readonly suspect: boolean
}

/** What waits for one model, in order of coming; what the engine died over comes first, in groups of its own. */
export class ModelQueue {
  readonly model: string
  /** Milliseconds of the engine it had, as the batcher counts them, and what it will have had when its batches end. */
  usedMs = 0
  expectedMs = 0
  #jobs: Waiting[] = []
  #suspects: Waiting[][] = []

  constructor(model: string) {
    this.model = model
  }

  get empty(): boolean {
    return this.#jobs.length === 0 && this.#suspects.length === 0
  }

  /** Images that wait. */
  get images(): number {
    return this.#all.reduce((sum, { job }) => sum + job.count, 0)
  }

  add(waiting: Waiting): void {
    this.#jobs.push(waiting)
  }

  /** Jobs that were on their way and wait again: before all others, joined as ever. */
  putBack(jobs: readonly Waiting[]): void {
    this.#jobs.unshift(...jobs)
  }

  /** Jobs the engine died over: together, joined by nobody, and after the suspects that are there. */
  suspect(jobs: Waiting[]): void {
    if (jobs.length > 0) this.#suspects.push(jobs)
  }

  remove(waiting: Waiting): void {
    this.#jobs = this.#jobs.filter((one) => one !== waiting)
    this.#suspects = this.#suspects
      .map((group) => group.filter((one) => one !== waiting))
      .filter((group) => group.length > 0)
  }

  /** Empties the queue. */
  takeAll(): Waiting[] {
    const all = this.#all
    this.#suspects = []
    this.#jobs = []
    return all
  }

  /** What would be computed next: the longest waiting job and all of its kind that fit with it. Nothing is taken. */
  next(maxImages: number): Group {
    const [suspects] = this.#suspects
    if (suspects !== undefined) return { jobs: suspects, full: true, suspect: true }
    const [first, ...others] = this.#jobs
    if (first === undefined || first.job.alone)
      return { jobs: first === undefined ? [] : [first], full: true, suspect: false }
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
    return { jobs, full: leftOut || images >= maxImages, suspect: false }
  }

  get #all(): Waiting[] {
    return [...this.#suspects.flat(), ...this.#jobs]
  }

  take({ jobs, suspect }: Group): void {
    if (suspect) this.#suspects.shift()
    else this.#jobs = this.#jobs.filter((waiting) => !jobs.includes(waiting))
  }
}
