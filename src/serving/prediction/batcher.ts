import { AsyncResource } from 'node:async_hooks'
import type { Engine } from '../../engine/contract.ts'
import { isCrash, ServiceError } from '../../common/errors.ts'
import { FairQueues } from './fair-queues.ts'
import { QueuedRequest, type JobResult, type PredictionJob } from './job.ts'
import type { Group, ModelQueue } from './model-queue.ts'
import type { EngineCrash, Quarantine } from './quarantine.ts'
import { joinJobs, joinResults, splitJob, splitRows } from './rows.ts'

/** The operations of the models' life cycle that the batcher uses. */
interface Models {
  /** Counts a use of a model. Returns true if the engine holds it now. */
  readonly touchAndCheckReady: (model: string) => boolean
  /** Makes a model ready; rejects with the reason if that fails. */
  readonly ensureReady: (model: string) => Promise<void>
  /** Reports that the engine does not hold a model that was ready. */
  readonly markLost: (model: string) => void
}

export interface BatcherOptions {
  readonly engine: Pick<Engine, 'predict' | 'concurrency'>
  readonly models: Models
  readonly quarantine: Quarantine
  readonly maxBatchSize: number
  /** Called after every computed batch. */
  readonly onBatch: (batch: BatchCosts) => void
}

interface BatchCosts {
  readonly model: string
  readonly images: number
  readonly computeMs: number
  /** Its share of the engine's time, measured in this process: the elapsed time divided by the engine's concurrency. */
  readonly ms: number
}

/** A batch that was sent to the engine. */
interface Batch {
  readonly queue: ModelQueue
  readonly group: Group
  readonly images: number
  readonly estimateMs: number
  /** When the engine started to compute it; undefined while it waits behind another batch. */
  startedAt: number | undefined
  /** Resolves at the end of the batch, even if it fails. */
  finished: Promise<void>
}

/** A request fails after this many calls of an engine that does not hold its model. */
const MAX_LOSSES = 2

/**
 * Joins waiting requests to batches. A batch starts when the engine is free and takes the requests that wait for one
 * model, so a request on an idle service waits for no others. The engine receives up to `concurrency` full batches in
 * advance, so it never idles between two batches. A batch that follows another of its model leaves a share of the waiting
 * requests to the next batch (`#evenShare`). The model that used the least engine time recently comes first. Results
 * keep the order of the requests.
 *
 * Predictions are pure, so after an engine crash all batches in flight are computed again. A batch of several requests
 * is divided into two retry groups, each computed without any other batch. Repeated crashes divide it further, until
 * the request that causes them is alone; then only that request fails.
 */
export class Batcher {
  readonly #options: BatcherOptions
  readonly #queues = new FairQueues()
  /** The batches that the engine has, oldest first; it computes the first `concurrency` of them. */
  readonly #batches: Batch[] = []
  /**
   * The queue whose model is built, until its first batch starts. No other model is built before: two models that do
   * not fit into memory together would evict each other unused.
   */
  #building: { readonly queue: ModelQueue; finished: boolean } | undefined
  #msPerImage = 50

  constructor(options: BatcherOptions) {
    this.#options = options
  }

  /** Splits a request that exceeds a batch. Rejects with the reason if the request's permit is released. */
  async submit(job: PredictionJob): Promise<JobResult> {
    const parts: QueuedRequest[] = []
    const unwatch = job.permit.watch((reason) => {
      for (const part of parts) rejectRequest(part, reason)
    })
    const queue = this.#queues.open(job.model, (other) =>
      this.#batches.some((batch) => batch.queue === other),
    )
    // Not AsyncResource.bind, which emits a warning for every function.
    const context = new AsyncResource('prediction')
    const ensureReady = (): Promise<void> =>
      context.runInAsyncScope(() => this.#options.models.ensureReady(job.model))
    const answers = splitJob(job, this.#options.maxBatchSize).map(
      (part) =>
        new Promise<JobResult>((resolve, reject) => {
          parts.push(new QueuedRequest(part, ensureReady, resolve, reject))
        }),
    )
    job.permit.markQueued()
    for (const part of parts) queue.add(part)
    this.#dispatch()
    try {
      return joinResults((await Promise.all(answers)) as [JobResult, ...JobResult[]])
    } catch (error) {
      // The request has its answer: compute none of its other parts.
      for (const part of parts) {
        rejectRequest(part, error)
        queue.remove(part)
      }
      throw error
    } finally {
      unwatch()
    }
  }

  /** Resolves at the end of the batches that the engine has now. */
  async inFlightSettled(): Promise<void> {
    await Promise.all(this.#batches.map(({ finished }) => finished))
  }

  /** `finished` is the batch that has just ended. */
  #dispatch(finished?: Batch): void {
    while (this.#startNext(finished));
    this.#buildNext()
  }

  #startNext(previous: Batch | undefined): boolean {
    const { engine, models, maxBatchSize } = this.#options
    const sent = this.#batches.length
    if (sent >= 2 * engine.concurrency || this.#batches.some(({ group }) => group.isRetry)) return false
    const queue = this.#queues.leastServed(({ model }) => models.touchAndCheckReady(model))
    if (queue === undefined) return false
    const group = queue.next(sent < engine.concurrency ? this.#evenShare(queue, previous) : maxBatchSize)
    if ((sent > 0 && group.isRetry) || (sent >= engine.concurrency && !group.full)) return false
    queue.take(group)
    if (this.#building?.queue === queue) this.#building = undefined
    const images = group.requests.reduce((sum, { job }) => sum + job.count, 0)
    const estimateMs = images * this.#msPerImage
    this.#queues.markServed(queue)
    queue.expectedMs += estimateMs
    const finished = Promise.resolve()
    const batch: Batch = { queue, group, images, estimateMs, startedAt: undefined, finished }
    batch.finished = this.#compute(batch)
    return true
  }

  /**
   * The number of images in the next batch: an equal share of the images that wait, are in flight or were just
   * computed, if they are divided among the engine's concurrent batches and one batch in the queue. Without this
   * division, clients that send a request after each response settle into alternating large and small batches: the few
   * late requests form a small batch, during which the engine has little work while the responses of the large batch
   * are sent.
   */
  #evenShare(queue: ModelQueue, finished: Batch | undefined): number {
    const { engine, maxBatchSize } = this.#options
    if (finished?.queue !== queue) return maxBatchSize
    const sent = this.#batches.reduce((sum, batch) => sum + (batch.queue === queue ? batch.images : 0), 0)
    const share = Math.ceil((queue.images + finished.images + sent) / (engine.concurrency + 1))
    return Math.min(maxBatchSize, share)
  }

  /** Makes one model ready at a time, while other models are served. */
  #buildNext(): void {
    const { models } = this.#options
    const isBusy =
      this.#building !== undefined &&
      !this.#building.queue.empty &&
      (!this.#building.finished || models.touchAndCheckReady(this.#building.queue.model))
    if (isBusy) return
    const queue = this.#queues.leastServed(({ model }) => !models.touchAndCheckReady(model))
    this.#building = queue && { queue, finished: false }
    if (queue !== undefined) void this.#buildModel(queue)
  }

  async #buildModel(queue: ModelQueue): Promise<void> {
    try {
      await queue.next(this.#options.maxBatchSize).requests[0]?.ensureReady()
    } catch (error) {
      // After a crash the requests stay in the queue and the model is built again.
      if (!isCrash(error)) for (const request of queue.takeAll()) rejectRequest(request, error)
    }
    if (this.#building?.queue === queue) this.#building.finished = true
    this.#dispatch()
  }

  async #compute(batch: Batch): Promise<void> {
    this.#batches.push(batch)
    this.#markStarted()
    const { queue, group } = batch
    const { engine, models, quarantine } = this.#options
    const joined = { id: queue.model, ...joinJobs(group.requests.map(({ job }) => job)) }
    const crashes: EngineCrash[] = []
    let called = false
    try {
      const call = async () => {
        // The model may have been lost while the batch waited for the quarantine's lock.
        if (!models.touchAndCheckReady(queue.model)) throw notHeld(queue.model)
        called = true
        return engine.predict(joined)
      }
      const result = await quarantine.run('predict', queue.model, call, (crash) => crashes.push(crash))
      this.#answer(batch, result)
    } catch (error) {
      const [crash] = crashes
      queue.usedMs += batch.estimateMs
      if (crash !== undefined) this.#retryInHalves(batch, crash, error)
      else if (error instanceof ServiceError && error.code === 'MODEL_NOT_READY')
        this.#retryWhenReady(batch, called, error)
      else for (const request of group.requests) rejectRequest(request, error)
    }
    queue.expectedMs -= batch.estimateMs
    this.#batches.splice(this.#batches.indexOf(batch), 1)
    this.#markStarted()
    this.#dispatch(batch)
  }

  /** The engine computes the oldest `concurrency` batches: their images no longer wait. */
  #markStarted(): void {
    for (const batch of this.#batches.slice(0, this.#options.engine.concurrency)) {
      if (batch.startedAt !== undefined) continue
      batch.startedAt = performance.now()
      for (const { job } of batch.group.requests) job.permit.markStarted(job.count)
    }
  }

  #answer(
    { queue, group, images, startedAt }: Batch,
    result: Omit<JobResult, 'queueMs' | 'batchSize'>,
  ): void {
    const { requests } = group
    const { engine, onBatch } = this.#options
    const now = performance.now()
    const started = startedAt ?? now
    const usedMs = result.decodeMs + result.computeMs
    queue.usedMs += usedMs
    this.#msPerImage = 0.8 * this.#msPerImage + 0.2 * (usedMs / images)
    const ms = (now - started) / engine.concurrency
    onBatch({ model: queue.model, images, computeMs: result.computeMs, ms })
    const rows = splitRows(
      result,
      requests.map(({ job }) => job),
    )
    for (const [index, { enqueued, resolve, crashes }] of requests.entries()) {
      for (const crash of crashes) crash.settle()
      const own = rows[index]
      if (own !== undefined) resolve(Object.assign(own, { queueMs: started - enqueued, batchSize: images }))
    }
  }

  /** Queues the requests of a crashed batch again, in two halves. A request that crashes too often alone fails. */
  #retryInHalves(batch: Batch, crash: EngineCrash, error: unknown): void {
    const { queue, group } = batch
    const [first, second] = group.requests
    if (first !== undefined && second === undefined && crash.alone) {
      first.soleCrashes += 1
      if (first.soleCrashes >= this.#options.quarantine.requestCrashLimit) rejectRequest(first, error)
    }
    const requests = group.requests.filter((request) => takeBack(request, batch))
    for (const request of requests) {
      request.crashes.push(crash)
      crash.claim()
    }
    const half = Math.ceil(requests.length / 2)
    queue.addRetryGroup(requests.slice(0, half))
    queue.addRetryGroup(requests.slice(half))
  }

  /** Repeats the requests when the model is ready again: it was evicted, or (`called`) the engine does not hold it. */
  #retryWhenReady(batch: Batch, called: boolean, error: unknown): void {
    const { queue, group } = batch
    if (called) this.#options.models.markLost(queue.model)
    const requests = group.requests.filter((request) => {
      if (called) request.losses += 1
      if (request.losses >= MAX_LOSSES) rejectRequest(request, error)
      return takeBack(request, batch)
    })
    if (group.isRetry) queue.addRetryGroup(requests)
    else queue.putBack(requests)
  }
}

function rejectRequest(request: QueuedRequest, error: unknown): void {
  request.answered = true
  request.reject(error)
}

/** Takes a request back from a failed batch. Returns true if it still needs an answer. */
function takeBack({ job, answered }: QueuedRequest, { startedAt }: Batch): boolean {
  if (startedAt !== undefined) job.permit.markStarted(-job.count)
  return !answered
}

function notHeld(model: string): ServiceError {
  return new ServiceError('MODEL_NOT_READY', `the engine does not hold model ${model}`)
}
