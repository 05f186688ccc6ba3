import { setImmediate } from 'node:timers/promises'

/** The progress of a job, in its own steps. */
export interface Progress {
  readonly done: number
  readonly total: number
}

/** Options of a long call. An abort rejects the call at once, with the signal's reason. */
export interface Control {
  readonly signal?: AbortSignal
  readonly progress?: (progress: Progress) => void
}

/** The same for the implementation: check `signal` between steps and report progress. */
export type Job = Required<Control>

/**
 * A checkpoint between the steps of a job: processes messages, and throws the reason if the job was aborted.
 */
export async function betweenSteps({ signal }: Pick<Job, 'signal'>): Promise<void> {
  await setImmediate()
  signal.throwIfAborted()
}

/** Yields the items, with a checkpoint after each. */
export async function* inSteps<T>(items: AsyncIterable<T>, job: Pick<Job, 'signal'>): AsyncGenerator<T> {
  for await (const item of items) {
    yield item
    await betweenSteps(job)
  }
}

/** Rejects as soon as `signal` aborts; the work itself continues. */
export function untilAborted<R>(result: Promise<R>, signal: AbortSignal | undefined): Promise<R> {
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
