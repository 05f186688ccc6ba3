import type { Logger } from 'pino'
import type { Analysis } from '../../analysis/contract.ts'
import { ServiceError } from '../../common/errors.ts'
import type { PlannedExperiment } from '../../experiments/resolve.ts'
import { ExperimentJob } from './experiment-job.ts'

/** The maximum number of experiments, and of waiting ones among them. */
const MAX_KEPT = 32
const MAX_WAITING = 8

/** Runs experiments one at a time in order of submission. Keeps the latest finished ones, in memory only. */
export class Experiments {
  readonly #analysis: Analysis
  readonly #logger: Logger
  /** In order of submission. */
  readonly #jobs = new Map<string, ExperimentJob>()
  #running: Promise<void> | undefined

  constructor(analysis: Analysis, logger: Logger) {
    this.#analysis = analysis
    this.#logger = logger
  }

  /** Returns the existing job of an experiment, or a new one if that was cancelled or failed. Throws QUEUE_FULL if too many wait. */
  submit(planned: PlannedExperiment): ExperimentJob {
    const known = this.#jobs.get(planned.id)
    if (known !== undefined && known.state !== 'cancelled' && known.state !== 'failed') return known
    this.#assertCapacity()
    this.#jobs.delete(planned.id)
    const job = new ExperimentJob(planned)
    this.#jobs.set(planned.id, job)
    this.#removeOldest()
    this.#running ??= this.#work()
    return job
  }

  /** All experiments, newest first. */
  list(): ExperimentJob[] {
    return [...this.#jobs.values()].reverse()
  }

  find(id: string): ExperimentJob {
    const job = this.#jobs.get(id)
    if (job !== undefined) return job
    throw new ServiceError(
      'EXPERIMENT_NOT_FOUND',
      `there is no experiment ${JSON.stringify(id)}; GET /v1/experiments lists the kept ones; send the same body again to run it`,
    )
  }

  /** Cancels a waiting or running experiment; removes a finished one. */
  delete(id: string): void {
    const job = this.find(id)
    if (job.finished) this.#jobs.delete(id)
    else job.cancel()
  }

  /** Cancels all experiments. */
  async close(): Promise<void> {
    for (const job of this.#jobs.values()) job.cancel()
    await this.#running
  }

  async #work(): Promise<void> {
    for (;;) {
      const next = [...this.#jobs.values()].find(({ state }) => state === 'waiting')
      if (next === undefined) break
      await next.run(this.#analysis).catch((error: unknown) => {
        this.#logger.error({ err: error, experiment: next.planned.id }, 'experiment failed')
      })
    }
    this.#running = undefined
  }

  #assertCapacity(): void {
    const waiting = [...this.#jobs.values()].filter(({ state }) => state === 'waiting')
    if (waiting.length < MAX_WAITING) return
    const [first] = waiting
    const retryAfterSeconds = Math.max(1, Math.ceil(first?.planned.cost.estimated_seconds ?? 1))
    throw new ServiceError(
      'QUEUE_FULL',
      `${String(waiting.length)} experiments are waiting; try again in ${String(retryAfterSeconds)} s, or cancel one of them`,
      { retryAfterSeconds },
    )
  }

  #removeOldest(): void {
    for (const [id, { finished }] of this.#jobs) {
      if (this.#jobs.size <= MAX_KEPT) return
      if (finished) this.#jobs.delete(id)
    }
  }
}
