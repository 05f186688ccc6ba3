import type { Batch, BatchResult } from '../../engine/contract.ts'
import type { Permit } from './permit.ts'
import type { EngineCrash } from './quarantine.ts'

/** Images of one request. */
export interface PredictionJob extends Omit<Batch, 'id'> {
  readonly model: string
  /** Compute these images in a batch of their own. */
  readonly alone: boolean
  /** What the request holds of the queue; when it has left it, nothing more is computed for it. */
  readonly permit: Permit
}

/** A job's own rows, and what they cost. */
export interface JobResult extends BatchResult {
  readonly queueMs: number
  readonly batchSize: number
}

/** A job, or a part of one that fits a batch, until it is answered. */
export class QueuedRequest {
  readonly job: PredictionJob
  readonly enqueued = performance.now()
  /** Makes the job's model ready, as a part of the request whose job it is. */
  readonly ensureReady: () => Promise<void>
  readonly resolve: (result: JobResult) => void
  readonly reject: (error: unknown) => void
  /** It needs nothing more, though it may still be with the engine. */
  answered = false
  /** Deaths of the engine it was part of. */
  readonly crashes: EngineCrash[] = []
  /** How many of them it was alone to cause. */
  soleCrashes = 0
  /** How often the engine was asked and did not hold the model. */
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
