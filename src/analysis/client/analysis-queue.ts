import { ServiceError } from '../../common/errors.ts'

/**
 * Priority of a job. `client`: rejected if too many wait. `admitted`: a further read of an export whose response
 * has begun; never rejected. `service`: the service's own digests; never rejected, and before all clients, so that
 * client load does not delay new models. `background`: after all others.
 */
export type Priority = 'client' | 'admitted' | 'service' | 'background'

interface QueueOptions {
  readonly priority: Priority
  readonly signal: AbortSignal | undefined
}

/** Runs one job at a time, in arrival order within a priority. A job whose signal aborts leaves the queue. */
export class AnalysisQueue {
  readonly #maxWaiting: number
  readonly #service: (() => void)[] = []
  readonly #clients: (() => void)[] = []
  readonly #background: (() => void)[] = []
  #busy = false
  /** Moving average of a job's duration in milliseconds, for Retry-After. */
  #averageMs = 200

  constructor(maxWaiting: number) {
    this.#maxWaiting = maxWaiting
  }

  /** Runs a job after those before it. With priority `client` rejects with QUEUE_FULL at once if the queue is full. */
  async run<R>(job: () => Promise<R>, options: QueueOptions): Promise<R> {
    await this.#waitForStart(options)
    const started = performance.now()
    try {
      return await job()
    } finally {
      this.#averageMs = 0.8 * this.#averageMs + 0.2 * (performance.now() - started)
      this.#startNext()
    }
  }

  async #waitForStart({ priority, signal }: QueueOptions): Promise<void> {
    signal?.throwIfAborted()
    if (!this.#busy) {
      this.#busy = true
      return
    }
    if (priority === 'client' && this.#clients.length >= this.#maxWaiting) throw this.#queueFullError()
    const queue = this.#queueFor(priority)
    await new Promise<void>((resolve, reject) => {
      const start = (): void => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }
      const onAbort = (): void => {
        queue.splice(queue.indexOf(start), 1)
        reject(signal?.reason as Error)
      }
      queue.push(start)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  #queueFor(priority: Priority): (() => void)[] {
    if (priority === 'background') return this.#background
    return priority === 'service' ? this.#service : this.#clients
  }

  #startNext(): void {
    const start = this.#service.shift() ?? this.#clients.shift() ?? this.#background.shift()
    if (start === undefined) this.#busy = false
    else start()
  }

  #queueFullError(): ServiceError {
    const waiting = this.#clients.length
    // An estimate: jobs of the priority `service`, which run first, are not counted.
    const retryAfterSeconds = Math.max(1, Math.ceil(((waiting + 1) * this.#averageMs) / 1000))
    const detail = `${String(waiting)} analyses are already queued (MAX_ANALYSIS_QUEUE); try again in ${String(retryAfterSeconds)} s`
    return new ServiceError('QUEUE_FULL', detail, { retryAfterSeconds })
  }
}
