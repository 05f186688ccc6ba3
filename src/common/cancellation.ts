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

/** The same for whoever does the work: he looks between his steps, and says how far he is. */
export interface JobContext extends Required<CallOptions> {
  /** Tells the watchdog in the parent process that the work goes on. Cheap, so call it as often as there is a step. */
  readonly alive: () => void
}

/** Between the steps of a job: lets messages in, and throws the reason where the job was aborted meanwhile. */
export async function checkpoint({ signal, alive }: Pick<JobContext, 'signal' | 'alive'>): Promise<void> {
  alive()
  await setImmediate()
  signal.throwIfAborted()
}

/** The same items, as steps of the job. */
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
