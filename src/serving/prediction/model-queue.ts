import { kindOf } from '../../engine/contract.ts'
import type { QueuedRequest } from './job.ts'

/** Requests that are computed in one batch. */
export interface Group {
  readonly requests: readonly QueuedRequest[]
  /** True if no waiting request can be added. */
  readonly full: boolean
  /** True for requests that were in an engine crash. */
  readonly isRetry: boolean
}

/** The waiting requests of one model in order of arrival. Requests from an engine crash come first, in retry groups. */
export class ModelQueue {
  readonly model: string
  /** The engine time of its finished batches, as the batcher counts it, and the estimate for its current batches. */
  usedMs = 0
  expectedMs = 0
  #requests: QueuedRequest[] = []
  #retryGroups: QueuedRequest[][] = []

  constructor(model: string) {
    this.model = model
  }

  get empty(): boolean {
    return this.#requests.length === 0 && this.#retryGroups.length === 0
  }

  /** The number of waiting images. */
  get images(): number {
    return this.#all.reduce((sum, { job }) => sum + job.count, 0)
  }

  add(request: QueuedRequest): void {
    this.#requests.push(request)
  }

  /** Returns requests to the front of the queue. They may join other requests again. */
  putBack(requests: readonly QueuedRequest[]): void {
    this.#requests.unshift(...requests)
  }

  /** Adds requests from an engine crash: one batch without other requests, after the present retry groups. */
  addRetryGroup(requests: QueuedRequest[]): void {
    if (requests.length > 0) this.#retryGroups.push(requests)
  }

  remove(request: QueuedRequest): void {
    this.#requests = this.#requests.filter((other) => other !== request)
    this.#retryGroups = this.#retryGroups
      .map((group) => group.filter((other) => other !== request))
      .filter((group) => group.length > 0)
  }

  /** Empties the queue. */
  takeAll(): QueuedRequest[] {
    const all = this.#all
    this.#retryGroups = []
    this.#requests = []
    return all
  }

  /** The next batch: the oldest request and all of its kind that fit. The queue does not change. */
  next(maxImages: number): Group {
    const [retryGroup] = this.#retryGroups
    if (retryGroup !== undefined) return { requests: retryGroup, full: true, isRetry: true }
    const [first, ...others] = this.#requests
    if (first === undefined || first.job.alone)
      return { requests: first === undefined ? [] : [first], full: true, isRetry: false }
    const requests = [first]
    let images = first.job.count
    let leftOut = false
    for (const request of others) {
      if (request.job.alone || kindOf(request.job.values) !== kindOf(first.job.values)) continue
      if (images + request.job.count > maxImages) {
        leftOut = true
        continue
      }
      requests.push(request)
      images += request.job.count
      if (images === maxImages) break
    }
    return { requests, full: leftOut || images >= maxImages, isRetry: false }
  }

  get #all(): QueuedRequest[] {
    return [...this.#retryGroups.flat(), ...this.#requests]
  }

  take({ requests, isRetry }: Group): void {
    if (isRetry) this.#retryGroups.shift()
    else this.#requests = this.#requests.filter((request) => !requests.includes(request))
  }
}
