import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import {
  planPasses,
  type Measurement,
  type RecordOptions,
  type TensorSource,
} from '../../statistics/record.ts'
import { Watchdog } from '../../ipc/watchdog.ts'
import { childEntry } from '../../ipc/child-entry.ts'
import type { Answer, ThreadMessage } from './statistics-thread.ts'
import { SLICE } from '../../tensorflow/sampler.ts'

/** The number of values that may be sent and not yet measured: two slices. */
const MAX_UNMEASURED = 2 * SLICE

/** Silence after which the thread counts as hung. A slice takes a second or two. */
const TIMEOUT_MS = 120_000

export interface StatisticsThreadOptions {
  /** The compiled module of the thread. */
  readonly entry?: URL
  readonly timeoutMs?: number
}

/**
 * Measures slices on another thread while this thread draws the next ones. After a crash or a timeout of that thread,
 * the next job starts a new one; the first job starts the first.
 */
export class StatisticsThread {
  readonly #options: Required<StatisticsThreadOptions>
  /** Undefined before the first job. */
  #thread: ThreadConnection | undefined

  constructor({
    entry = childEntry('analysis/worker/statistics-thread.js'),
    timeoutMs = TIMEOUT_MS,
  }: StatisticsThreadOptions = {}) {
    this.#options = { entry, timeoutMs }
  }

  /** Begins a job. The caller runs one job at a time: a new job discards an unfinished tensor of the previous one. */
  begin({ digest }: { readonly digest: boolean }): StatisticsJob {
    const running = this.#thread?.died === false ? this.#thread : undefined
    const thread = (this.#thread = running ?? new ThreadConnection(this.#options))
    void thread.send({ kind: 'job', digest })
    return new StatisticsJob(thread)
  }

  async close(): Promise<void> {
    await this.#thread?.close()
  }
}

/** One job: measures tensors one after another. Its methods reject if the thread dies. */
export class StatisticsJob {
  readonly #thread: ThreadConnection

  constructor(thread: ThreadConnection) {
    this.#thread = thread
  }

  /**
   * Transfers a tensor's values to the thread, in one pass or two (`planPasses`). Resolves when all slices are sent;
   * the record is pending until they are measured. `onSlice` receives every slice of the first pass before its
   * transfer.
   */
  async measure(
    tensor: TensorSource,
    options: RecordOptions,
    onSlice: (values: Float32Array) => Promise<void>,
  ): Promise<{ record: Promise<Measurement> }> {
    const { shape, law } = tensor
    let last: Promise<Answer> | undefined
    const passes = planPasses(tensor, options)
    for (let pass = 1; pass <= passes; pass++) {
      for await (const values of tensor.slices()) {
        if (pass === 1) await onSlice(values)
        await this.#thread.waitForCapacity(values.length)
        const opening = last ? undefined : { tensor: { shape, law }, options }
        last = this.#thread.send({ kind: 'slice', opening, values })
      }
    }
    return { record: last as Promise<Measurement> }
  }

  /** The SHA-256 over the bytes of all tensors of the job, in order. */
  async digest(): Promise<string> {
    return (await this.#thread.send({ kind: 'digest' })) as string
  }
}

interface PendingReply {
  readonly size: number
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

class ThreadConnection {
  readonly #worker: Worker
  readonly #watchdog: Watchdog
  readonly #replies: PendingReply[] = []
  readonly #ended = new AbortController()
  #unmeasured = 0
  #error: Error | undefined

  constructor({ entry, timeoutMs }: Required<StatisticsThreadOptions>) {
    this.#worker = new Worker(entry)
    this.#worker.on('message', (answer: Answer) => {
      this.#watchdog.reset()
      const reply = this.#replies.shift()
      this.#unmeasured -= reply?.size ?? 0
      reply?.resolve(answer)
    })
    this.#worker.on('error', (error) => {
      this.#fail(error)
    })
    this.#watchdog = new Watchdog({
      limitMs: timeoutMs,
      isWaiting: () => this.#replies.length > 0,
      onTimeout: () => {
        this.#fail(new Error(`the statistics thread was silent for ${String(timeoutMs)} ms and was ended`))
        void this.#worker.terminate()
      },
    })
  }

  get died(): boolean {
    return this.#error !== undefined
  }

  /** Waits until this number of values can be sent within the limit. One slice of any size can always be sent alone. */
  async waitForCapacity(size: number): Promise<void> {
    const { signal } = this.#ended
    while (this.#unmeasured > 0 && this.#unmeasured + size > MAX_UNMEASURED)
      await once(this.#worker, 'message', { signal }).catch((error: unknown) => {
        throw this.#error ?? error
      })
  }

  /** Sends a message and transfers its values. A caller may ignore the reply: its rejection is handled here. */
  send(message: ThreadMessage): Promise<Answer> {
    const size = message.kind === 'slice' ? message.values.length : 0
    const answer = new Promise<Answer>((resolve, reject) => {
      if (this.#error) throw this.#error
      this.#worker.postMessage(
        message,
        message.kind === 'slice' ? [message.values.buffer as ArrayBuffer] : [],
      )
      if (this.#replies.length === 0) this.#watchdog.reset()
      this.#replies.push({ size, resolve, reject })
      this.#unmeasured += size
    })
    answer.catch(() => undefined)
    return answer
  }

  async close(): Promise<void> {
    this.#watchdog.close()
    await this.#worker.terminate()
  }

  #fail(error: Error): void {
    this.#error = error
    this.#watchdog.close()
    this.#unmeasured = 0
    for (const { reject } of this.#replies.splice(0)) reject(error)
    this.#ended.abort()
  }
}
