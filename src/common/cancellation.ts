import { setImmediate } from 'node:timers/promises'

/** The progress of a job, in its own steps. */
export interface Progress {
  readonly done: number
  readonly total: number
}

/** Options of a long call. An abort rejects the call at once, with the signal's reason. */
export interface CallOptions {
  readonly signal?: AbortSignal
  readonly progress?: (progress: Progress) => void
}

/** The context of a job. Check `signal` between steps and report progress. */
export interface JobContext extends Required<CallOptions> {
  /** Reports to the parent's watchdog that the job is running. Cheap: call it after every step. */
  readonly alive: () => void
}

/** Call it between the steps of a job: receives messages, and throws the signal's reason if the job was aborted. */
export async function checkpoint({ signal, alive }: Pick<JobContext, 'signal' | 'alive'>): Promise<void> {
  alive()
  await setImmediate()
  signal.throwIfAborted()
}

/** Yields the items with a checkpoint after each. */
export async function* withCheckpoints<T>(
  items: AsyncIterable<T>,
  job: Pick<JobContext, 'signal' | 'alive'>,
): AsyncGenerator<T> {
  for await (const item of items) {
    yield item
    await checkpoint(job)
  }
}

/** Rejects as soon as `signal` aborts; the work itself continues. */
export function raceAbort<R>(result: Promise<R>, signal: AbortSignal | undefined): Promise<R> {
  if (signal === undefined) return result
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      reject(signal.reason as Error)
    }
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort)
    void result.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', onAbort)
    })
  })
}
