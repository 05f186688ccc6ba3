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

/** Values that may be in transfer to the thread: two slices. */
const AHEAD = 2 * SLICE

/** Silence after which the thread counts as hung. A slice takes a second or two. */
const TIMEOUT_MS = 120_000

export interface StatisticsThreadOptions {
  /** The compiled module of the thread. */
  readonly entry?: URL
  readonly timeoutMs?: number
}

/**
 * Measures on a thread while this thread draws the next values. A thread that crashed or hung is replaced by the
 * next job.
 */
export class StatisticsThread {
  readonly #options: Required<StatisticsThreadOptions>
  #thread: ThreadConnection

  constructor({
    entry = childEntry('analysis/worker/statistics-thread.js'),
    timeoutMs = TIMEOUT_MS,
  }: StatisticsThreadOptions = {}) {
    this.#options = { entry, timeoutMs }
    this.#thread = new ThreadConnection(this.#options)
  }

  /** Begins a job. Jobs run one at a time; unfinished work of an earlier job is discarded. */
  begin({ digest }: { readonly digest: boolean }): StatisticsPass {
    if (this.#thread.died) this.#thread = new ThreadConnection(this.#options)
    const thread = this.#thread
    void thread.send({ kind: 'job', digest })
    return new StatisticsPass(thread)
  }

  async close(): Promise<void> {
    await this.#thread.close()
  }
}

/** The measurements of one job, in call order. Rejects if the thread dies. */
export class StatisticsPass {
  readonly #thread: ThreadConnection

  constructor(thread: ThreadConnection) {
    this.#thread = thread
  }

  /**
   * Transfers a tensor's values. Resolves when all slices are sent; the record is pending until they are measured.
   * `look` receives every slice once, in order, before it is sent.
   */
  async measure(
    tensor: TensorSource,
    options: RecordOptions,
    look: (values: Float32Array) => Promise<void>,
  ): Promise<{ record: Promise<Measurement> }> {
    const { shape, law } = tensor
    let last: Promise<Answer> | undefined
    const passes = planPasses(tensor, options)
    for (let pass = 1; pass <= passes; pass++) {
      for await (const values of tensor.slices()) {
        if (pass === 1) await look(values)
        await this.#thread.room(values.length)
        const opening = last ? undefined : { tensor: { shape, law }, options }
        last = this.#thread.send({ kind: 'slice', opening, values })
      }
    }
    return { record: last as Promise<Measurement> }
  }

  /** The digest over the bytes of all tensors, in order. */
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
  #ahead = 0
  #error: Error | undefined

  constructor({ entry, timeoutMs }: Required<StatisticsThreadOptions>) {
    this.#worker = new Worker(entry)
    this.#worker.on('message', (answer: Answer) => {
      this.#watchdog.reset()
      const reply = this.#replies.shift()
      this.#ahead -= reply?.size ?? 0
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

  /** Waits until this number of values may be sent. */
  async room(size: number): Promise<void> {
    const { signal } = this.#ended
    while (this.#ahead > 0 && this.#ahead + size > AHEAD)
      await once(this.#worker, 'message', { signal }).catch((error: unknown) => {
        throw this.#error ?? error
      })
  }

  /** Sends a message and transfers its values. Unread replies may reject. */
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
      this.#ahead += size
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
    this.#ahead = 0
    for (const { reject } of this.#replies.splice(0)) reject(error)
    this.#ended.abort()
  }
}
