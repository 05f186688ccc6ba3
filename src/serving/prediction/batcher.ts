import { AsyncResource } from 'node:async_hooks'
import type { Engine } from '../../engine/contract.ts'
import { isCrash, ServiceError } from '../../common/errors.ts'
import { QueuedRequest, type JobResult, type PredictionJob } from './job.ts'
import { ModelQueue, type Group } from './model-queue.ts'
import type { EngineCrash, Quarantine } from './quarantine.ts'
import { joinJobs, joinResults, splitJob, splitRows } from './rows.ts'

/** What the batcher asks of those who keep the models. */
interface Models {
  /** Whether the engine holds a model now; asking counts as using it. */
  readonly isReady: (model: string) => boolean
  /** Makes a model ready; rejects with why it cannot be. */
  readonly ensureReady: (model: string) => Promise<void>
  /** The engine does not hold a model that was made ready. */
  readonly lost: (model: string) => void
}

export interface BatcherOptions {
  readonly engine: Pick<Engine, 'predict' | 'concurrency'>
  readonly models: Models
  readonly quarantine: Quarantine
  readonly maxBatchSize: number
  /** Called for every batch that was answered. */
  readonly onBatch: (batch: BatchCosts) => void
}

interface BatchCosts {
  readonly model: string
  readonly images: number
  readonly computeMs: number
  /** What it had of the engine's time, as this process sees it: of several lanes, its own one's share. */
  readonly ms: number
}

/** A batch that is with the engine. */
interface Batch {
  readonly queue: ModelQueue
  readonly group: Group
  readonly images: number
  /** What it will cost, as far as is known before. */
  readonly estimateMs: number
  /** When a lane was free for it. */
  begun: number | undefined
  /** Settles when it is over, well or not. */
  over: Promise<void>
}

/** An engine that does not hold a model that was made ready, twice, is not asked a third time. */
const MAX_LOSSES = 2

/**
 * Joins what waits. A batch is whatever is there for one model when a lane of the engine is free, so nobody waits for
 * company on an idle service; as many as there are lanes, if they are full already, go to the engine while it computes
 * those before, so that it need not wait for the next. One that follows another of its model leaves some of what waits to the
 * next (`#evenShare`). Of models that wait, the one that had least of the engine lately comes first. Rows come back in the
 * order they went in.
 *
 * Predictions are pure, so what the engine died over is asked again: in halves, so that a poisonous request ends up
 * alone and harms itself only. While such a half is computed, nothing else is.
 */
export class Batcher {
  readonly #options: BatcherOptions
  readonly #queues = new Map<string, ModelQueue>()
  /** With the engine, oldest first: one a lane is being computed. */
  readonly #batches: Batch[] = []
  /** A model that is made ready, until it is served: two that do not fit together would keep evicting each other. */
  #building: { readonly queue: ModelQueue; done: boolean } | undefined
  /** What the model served last had had by then: one that comes back has no claim to the time it did not ask for. */
  #servedMs = 0
  #msPerImage = 50

  constructor(options: BatcherOptions) {
    this.#options = options
  }

  /** A request larger than a batch is computed in several. Rejects with the reason of whoever leaves his place. */
  async submit(job: PredictionJob): Promise<JobResult> {
    const parts: QueuedRequest[] = []
    const unwatch = job.permit.watch((reason) => {
      for (const part of parts) refuse(part, reason)
    })
    const queue = this.#queueOf(job.model)
    // Not AsyncResource.bind, which makes a warning for every function.
    const request = new AsyncResource('prediction')
    const ensureReady = (): Promise<void> =>
      request.runInAsyncScope(() => this.#options.models.ensureReady(job.model))
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
      // Nothing more is computed for a request that has its answer.
      for (const part of parts) {
        refuse(part, error)
        queue.remove(part)
      }
      throw error
    } finally {
      unwatch()
    }
  }

  /** Resolves when the batches that are with the engine now are over: at once where there are none. */
  async inFlightSettled(): Promise<void> {
    await Promise.all(this.#batches.map(({ over }) => over))
  }

  #queueOf(model: string): ModelQueue {
    for (const queue of this.#queues.values()) {
      const inUse = !queue.empty || this.#batches.some((batch) => batch.queue === queue)
      if (!inUse && queue.usedMs <= this.#servedMs) this.#queues.delete(queue.model)
    }
    const queue = this.#queues.get(model) ?? new ModelQueue(model)
    this.#queues.set(model, queue)
    if (queue.empty) queue.usedMs = Math.max(queue.usedMs, this.#servedMs)
    return queue
  }

  /** `done` is the batch whose end this is. */
  #dispatch(done?: Batch): void {
    while (this.#startNext(done));
    this.#buildNext()
  }

  #startNext(done: Batch | undefined): boolean {
    const { engine, models, maxBatchSize } = this.#options
    const sent = this.#batches.length
    if (sent >= 2 * engine.concurrency || this.#batches.some(({ group }) => group.addRetryGroup)) return false
    const queue = this.#leastServed(({ model }) => models.isReady(model))
    if (queue === undefined) return false
    const group = queue.next(sent < engine.concurrency ? this.#evenShare(queue, done) : maxBatchSize)
    if ((sent > 0 && group.addRetryGroup) || (sent >= engine.concurrency && !group.full)) return false
    queue.take(group)
    if (this.#building?.queue === queue) this.#building = undefined
    const images = group.jobs.reduce((sum, { job }) => sum + job.count, 0)
    const estimateMs = images * this.#msPerImage
    this.#servedMs = Math.max(this.#servedMs, queue.usedMs)
    queue.expectedMs += estimateMs
    const over = Promise.resolve()
    const batch: Batch = { queue, group, images, estimateMs, begun: undefined, over }
    batch.over = this.#compute(batch)
    return true
  }

  /**
   * Images that a batch takes of what waits. Clients who ask again as soon as they are answered would make one large
   * batch and one of those few who came too late for it, for ever: the engine has too little to do while all the others
   * are answered and read. So what waits and what was just computed are divided evenly, among the lanes and the queue.
   */
  #evenShare(queue: ModelQueue, done: Batch | undefined): number {
    const { engine, maxBatchSize } = this.#options
    if (done?.queue !== queue) return maxBatchSize
    const sent = this.#batches.reduce((sum, batch) => sum + (batch.queue === queue ? batch.images : 0), 0)
    const share = Math.ceil((queue.images + done.images + sent) / (engine.concurrency + 1))
    return Math.min(maxBatchSize, share)
  }

  /** One model after the other, while others are served. */
  #buildNext(): void {
    const { models } = this.#options
    const waits =
      this.#building !== undefined &&
      !this.#building.queue.empty &&
      (!this.#building.done || models.isReady(this.#building.queue.model))
    if (waits) return
    const queue = this.#leastServed(({ model }) => !models.isReady(model))
    this.#building = queue && { queue, done: false }
    if (queue !== undefined) void this.#buildModel(queue)
  }

  async #buildModel(queue: ModelQueue): Promise<void> {
    try {
      await queue.next(this.#options.maxBatchSize).jobs[0]?.ensureReady()
    } catch (error) {
      // Lost again before it could be used: it is asked for once more.
      if (!isCrash(error)) for (const waiting of queue.takeAll()) refuse(waiting, error)
    }
    if (this.#building?.queue === queue) this.#building.done = true
    this.#dispatch()
  }

  #leastServed(fits: (queue: ModelQueue) => boolean): ModelQueue | undefined {
    let least: ModelQueue | undefined
    let leastMs = Infinity
    for (const queue of this.#queues.values()) {
      const ms = queue.usedMs + queue.expectedMs
      if (queue.empty || ms >= leastMs || !fits(queue)) continue
      least = queue
      leastMs = ms
    }
    return least
  }

  async #compute(batch: Batch): Promise<void> {
    this.#batches.push(batch)
    this.#markStarted()
    const { queue, group } = batch
    const { engine, models, quarantine } = this.#options
    const joined = { id: queue.model, ...joinJobs(group.jobs.map(({ job }) => job)) }
    const deaths: EngineCrash[] = []
    let asked = false
    try {
      const call = async () => {
        // It may have been lost while this waited for its turn.
        if (!models.isReady(queue.model)) throw notHeld(queue.model)
        asked = true
        return engine.predict(joined)
      }
      const result = await quarantine.run('predict', queue.model, call, (death) => deaths.push(death))
      this.#answer(batch, result)
    } catch (error) {
      const [death] = deaths
      queue.usedMs += batch.estimateMs
      if (death !== undefined) this.#retryInHalves(batch, death, error)
      else if (error instanceof ServiceError && error.code === 'MODEL_NOT_READY')
        this.#putBack(batch, asked, error)
      else for (const waiting of group.jobs) refuse(waiting, error)
    }
    queue.expectedMs -= batch.estimateMs
    this.#batches.splice(this.#batches.indexOf(batch), 1)
    this.#markStarted()
    this.#dispatch(batch)
  }

  /** The oldest batches, one a lane, are those that are computed: their images no longer wait. */
  #markStarted(): void {
    for (const batch of this.#batches.slice(0, this.#options.engine.concurrency)) {
      if (batch.begun !== undefined) continue
      batch.begun = performance.now()
      for (const { job } of batch.group.jobs) job.permit.markStarted(job.count)
    }
  }

  #answer({ queue, group, images, begun }: Batch, result: Omit<JobResult, 'queueMs' | 'batchSize'>): void {
    const { jobs } = group
    const { engine, onBatch } = this.#options
    const now = performance.now()
    const since = begun ?? now
    const usedMs = result.decodeMs + result.computeMs
    queue.usedMs += usedMs
    this.#msPerImage = 0.8 * this.#msPerImage + 0.2 * (usedMs / images)
    onBatch({
      model: queue.model,
      images,
      computeMs: result.computeMs,
      ms: (now - since) / engine.concurrency,
    })
    const rows = splitRows(
      result,
      jobs.map(({ job }) => job),
    )
    for (const [index, { enqueued, resolve, crashes: deaths }] of jobs.entries()) {
      for (const death of deaths) death.settle()
      const own = rows[index]
      if (own !== undefined) resolve(Object.assign(own, { queueMs: since - enqueued, batchSize: images }))
    }
  }

  /** What the engine died over is asked again in halves; a request that dies alone once more, and then no more. */
  #retryInHalves(batch: Batch, death: EngineCrash, error: unknown): void {
    const { queue, group } = batch
    const [first, second] = group.jobs
    if (first !== undefined && second === undefined && death.alone) {
      first.soleCrashes += 1
      if (first.soleCrashes >= this.#options.quarantine.requestCrashLimit) refuse(first, error)
    }
    const jobs = group.jobs.filter((waiting) => requeue(waiting, batch))
    for (const waiting of jobs) {
      waiting.crashes.push(death)
      death.claim()
    }
    const half = Math.ceil(jobs.length / 2)
    queue.addRetryGroup(jobs.slice(0, half))
    queue.addRetryGroup(jobs.slice(half))
  }

  /** A model that was evicted meanwhile is made ready again; an engine that denies to hold it gets one more chance. */
  #putBack(batch: Batch, asked: boolean, error: unknown): void {
    const { queue, group } = batch
    if (asked) this.#options.models.lost(queue.model)
    const again = group.jobs.filter((waiting) => {
      if (asked) waiting.losses += 1
      if (waiting.losses >= MAX_LOSSES) refuse(waiting, error)
      return requeue(waiting, batch)
    })
    if (group.addRetryGroup) queue.addRetryGroup(again)
    else queue.putBack(again)
  }
}

function refuse(waiting: QueuedRequest, error: unknown): void {
  waiting.answered = true
  waiting.reject(error)
}

/** Takes a job back from a batch that failed; says whether it still wants an answer. */
function requeue({ job, answered }: QueuedRequest, { begun }: Batch): boolean {
  if (begun !== undefined) job.permit.markStarted(-job.count)
  return !answered
}

function notHeld(model: string): ServiceError {
  return new ServiceError('MODEL_NOT_READY', `the engine does not hold model ${model}`)
}
