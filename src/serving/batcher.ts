import type { Batch, BatchResult, Engine } from '../engine/engine.ts'
import { ServiceError } from '../errors.ts'

/** Images of one request, decoded: whole images of the model's input shape, one after another. */
export interface PredictionJob extends Omit<Batch, 'id'> {
  readonly model: string
  /** Compute these images in a batch of their own. */
  readonly alone: boolean
  readonly signal: AbortSignal
}

/** A job's own rows, and what they cost. */
export interface JobResult extends BatchResult {
  readonly queueMs: number
  readonly batchSize: number
}

export interface BatcherOptions {
  readonly engine: Engine
  readonly maxBatchSize: number
  readonly maxQueue: number
  /** Makes a model ready again; called before a batch of it is computed. */
  readonly ensureReady: (model: string) => Promise<void>
  /** Called where the engine does not hold a model that was made ready. */
  readonly lost: (model: string) => void
}

interface Waiting {
  readonly job: PredictionJob
  readonly enqueued: number
  readonly resolve: (result: JobResult) => void
  readonly reject: (error: unknown) => void
  attempts: number
}

/** An engine that dies twice over the same images is not asked a third time. */
const MAX_ATTEMPTS = 2

/**
 * Joins what waits. A batch is whatever is there for one model when the engine becomes free, so nobody waits for company
 * on an idle service. Rows come back in the order they went in.
 */
export class Batcher {
  readonly #options: BatcherOptions
  readonly #queue: Waiting[] = []
  #queued = 0
  #running = 0
  /** Milliseconds per image lately, for Retry-After. */
  #pace = 50

  constructor(options: BatcherOptions) {
    this.#options = options
  }

  get queued(): number {
    return this.#queued
  }

  /** QUEUE_FULL where the images do not fit the queue; a request larger than a batch is computed in several. */
  async submit(job: PredictionJob): Promise<JobResult> {
    const { maxQueue, maxBatchSize } = this.#options
    if (this.#queued + job.count > maxQueue) {
      const retryAfterSeconds = Math.max(1, Math.ceil((this.#queued * this.#pace) / 1000))
      const cure =
        job.count > maxQueue
          ? `send at most ${String(maxQueue)} images at once`
          : `try again in ${String(retryAfterSeconds)} s`
      const detail = `${String(this.#queued)} images wait already, ${String(maxQueue)} may; ${cure}`
      throw new ServiceError('QUEUE_FULL', detail, { retryAfterSeconds })
    }
    if (job.count <= maxBatchSize) return untilAborted(this.#enqueue(job), job.signal)
    const size = job.values.length / job.count
    const parts: Promise<JobResult>[] = []
    for (let start = 0; start < job.count; start += maxBatchSize) {
      const count = Math.min(maxBatchSize, job.count - start)
      const values = job.values.subarray(start * size, (start + count) * size)
      parts.push(this.#enqueue({ ...job, count, values }))
    }
    return joinResults(await untilAborted(Promise.all(parts), job.signal))
  }

  #enqueue(job: PredictionJob): Promise<JobResult> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ job, enqueued: performance.now(), resolve, reject, attempts: 0 })
      this.#queued += job.count
      void this.#drain()
    })
  }

  async #drain(): Promise<void> {
    if (this.#running >= this.#options.engine.lanes) return
    this.#running += 1
    for (let batch = this.#next(); batch.length > 0; batch = this.#next()) await this.#compute(batch)
    this.#running -= 1
  }

  /** The longest waiting job and all that fit with it; jobs whose callers left are dropped. */
  #next(): Waiting[] {
    const batch: Waiting[] = []
    let images = 0
    for (let index = 0; index < this.#queue.length;) {
      const waiting = this.#queue[index]
      if (waiting === undefined) break
      const { job } = waiting
      const first = batch[0]?.job
      const fits =
        first === undefined || (joins(first, waiting) && images + job.count <= this.#options.maxBatchSize)
      if (!job.signal.aborted && !fits) {
        index += 1
        continue
      }
      this.#queue.splice(index, 1)
      this.#queued -= job.count
      if (job.signal.aborted) {
        waiting.reject(job.signal.reason)
        continue
      }
      batch.push(waiting)
      images += job.count
      if (apart(waiting)) break
    }
    return batch
  }

  async #compute(batch: readonly Waiting[]): Promise<void> {
    const [first] = batch
    if (first === undefined) return
    const { model, values } = first.job
    const count = batch.reduce((sum, { job }) => sum + job.count, 0)
    const started = performance.now()
    try {
      await this.#options.ensureReady(model)
      const result = await this.#options.engine.predict({
        id: model,
        count,
        values: batch.length === 1 ? values : concatenate(batch.map(({ job }) => job.values)),
        k: Math.max(...batch.map(({ job }) => job.k)),
        features: batch.some(({ job }) => job.features),
      })
      this.#pace = 0.8 * this.#pace + 0.2 * (result.computeMs / count)
      let row = 0
      for (const { job, enqueued, resolve } of batch) {
        const rows = <A extends Float32Array | Int32Array>(all: A): A => {
          const width = all.length / count
          return all.subarray(row * width, (row + job.count) * width) as A
        }
        resolve({
          logits: rows(result.logits),
          probabilities: rows(result.probabilities),
          entropy: rows(result.entropy),
          topLogits: leading(rows(result.topLogits), job),
          topClasses: leading(rows(result.topClasses), job),
          features: job.features && result.features ? rows(result.features) : undefined,
          queueMs: started - enqueued,
          computeMs: result.computeMs,
          batchSize: count,
        })
        row += job.count
      }
    } catch (error) {
      if (error instanceof ServiceError && error.code === 'MODEL_NOT_READY') this.#options.lost(model)
      this.#retryOrFail(batch, error)
    }
  }

  /** Predictions are pure, so what a dead engine left unanswered is asked once more, each job apart from the others. */
  #retryOrFail(batch: readonly Waiting[], error: unknown): void {
    const lost =
      error instanceof ServiceError && (error.code === 'ENGINE_CRASHED' || error.code === 'MODEL_NOT_READY')
    for (const waiting of [...batch].reverse()) {
      waiting.attempts += 1
      if (!lost || waiting.attempts >= MAX_ATTEMPTS) {
        waiting.reject(error)
        continue
      }
      this.#queue.unshift(waiting)
      this.#queued += waiting.job.count
    }
  }
}

/** Whoever leaves is answered at once, also while the images are being computed. */
function untilAborted<R>(result: Promise<R>, signal: AbortSignal): Promise<R> {
  return new Promise((resolve, reject) => {
    const leave = (): void => {
      reject(signal.reason as Error)
    }
    if (signal.aborted) leave()
    signal.addEventListener('abort', leave)
    void result.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', leave)
    })
  })
}

/** The first k of every row; the batch may hold more, for a job that asked for more. */
function leading<A extends Float32Array | Int32Array>(rows: A, { count, k }: PredictionJob): A {
  const width = rows.length / count
  return rows.filter((_, index) => index % width < k) as A
}

/** Of jobs that were there when the engine died, the one that kills it must harm itself only. */
function apart({ job, attempts }: Waiting): boolean {
  return job.alone || attempts > 0
}

function joins(first: PredictionJob, waiting: Waiting): boolean {
  const { job } = waiting
  return !apart(waiting) && job.model === first.model && isUint8(job) === isUint8(first)
}

/** A Buffer is as good as any Uint8Array. */
function isUint8({ values }: PredictionJob): boolean {
  return values instanceof Uint8Array
}

function concatenate(parts: readonly (Uint8Array | Float32Array)[]): Uint8Array | Float32Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const whole = parts[0] instanceof Uint8Array ? new Uint8Array(length) : new Float32Array(length)
  let offset = 0
  for (const part of parts) {
    whole.set(part, offset)
    offset += part.length
  }
  return whole
}

/** The results of a request's parts, one after another. */
function joinResults(results: readonly JobResult[]): JobResult {
  const floats = (of: (result: JobResult) => Float32Array): Float32Array =>
    concatenate(results.map(of)) as Float32Array
  return {
    logits: floats(({ logits }) => logits),
    probabilities: floats(({ probabilities }) => probabilities),
    entropy: floats(({ entropy }) => entropy),
    topLogits: floats(({ topLogits }) => topLogits),
    topClasses: Int32Array.from(results.flatMap(({ topClasses }) => [...topClasses])),
    features: results[0]?.features && floats(({ features }) => features ?? new Float32Array()),
    queueMs: Math.max(...results.map(({ queueMs }) => queueMs)),
    computeMs: results.reduce((sum, { computeMs }) => sum + computeMs, 0),
    batchSize: Math.max(...results.map(({ batchSize }) => batchSize)),
  }
}
