import type { Batch, BatchResult } from '../../engine/contract.ts'
import type { Permit } from './permit.ts'
import type { EngineCrash } from './quarantine.ts'

/** The images of one request. */
export interface PredictionJob extends Omit<Batch, 'id'> {
  readonly model: string
  /** True to compute these images in a separate batch. */
  readonly alone: boolean
  /** The request's share of the queue. After its release nothing more is computed for the request. */
  readonly permit: Permit
}

/** The rows of one job and their costs. */
export interface JobResult extends BatchResult {
  readonly queueMs: number
  readonly batchSize: number
}

/** A job, or a part of a job that fits a batch, until its answer. */
export class QueuedRequest {
  readonly job: PredictionJob
  readonly enqueued = performance.now()
  /** Makes the job's model ready, within the request's tracing context. */
  readonly ensureReady: () => Promise<void>
  readonly resolve: (result: JobResult) => void
  readonly reject: (error: unknown) => void
  /** True if it needs no answer, although the engine may still compute it. */
  answered = false
  /** The engine crashes that it was part of. */
  readonly crashes: EngineCrash[] = []
  /** The number of crashes during which the engine computed nothing else. */
  soleCrashes = 0
  /** The number of calls that failed because the engine did not hold the model. */
  losses = 0

  constructor(
    job: PredictionJob,
    ensureReady: QueuedRequest['ensureReady'],
    resolve: QueuedRequest['resolve'],
    reject: QueuedRequest['reject'],
  ) {
    this.job = job
    this.ensureReady = ensureReady
    this.resolve = resolve
    this.reject = reject
  }
}
