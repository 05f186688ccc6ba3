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

/** The number of values that may be in flight to the thread: two slices. */
const AHEAD = 2 * SLICE

/** A slice takes the thread a second or two; one that says nothing for so long hangs. */
const TIMEOUT_MS = 120_000

export interface MeasurerOptions {
  /** The compiled module of the thread. */
  readonly entry?: URL
  readonly timeoutMs?: number
}

/** Measures on a thread, while this one draws what comes next. The thread stays; one that died or hung is replaced. */
export class StatisticsThread {
  readonly #options: Required<MeasurerOptions>
  #thread: ThreadConnection

  constructor({
    entry = childEntry('analysis/worker/statistics-thread.js'),
    timeoutMs = TIMEOUT_MS,
  }: MeasurerOptions = {}) {
    this.#options = { entry, timeoutMs }
    this.#thread = new ThreadConnection(this.#options)
  }

  /** Begins a job. Jobs run one at a time; unfinished work of an earlier job is discarded. */
  begin({ digest }: { readonly digest: boolean }): StatisticsPass {
    if (this.#thread.died) this.#thread = new ThreadConnection(this.#options)
    const thread = this.#thread
    void thread.ask({ kind: 'job', digest })
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
   * Transfers a tensor's values. Resolves when all slices are sent; the record follows when they are
   * measured. `look` sees every slice once, in order, before it is sent.
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
        last = this.#thread.ask({ kind: 'slice', opening, values })
      }
    }
    return { record: last as Promise<Measurement> }
  }

  /** The digest over the bytes of all tensors, in order. */
  async digest(): Promise<string> {
    return (await this.#thread.ask({ kind: 'digest' })) as string
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
  readonly #asked: PendingReply[] = []
  readonly #ended = new AbortController()
  #ahead = 0
  #error: Error | undefined

  constructor({ entry, timeoutMs }: Required<MeasurerOptions>) {
    this.#worker = new Worker(entry)
    this.#worker.on('message', (answer: Answer) => {
      this.#watchdog.reset()
      const asked = this.#asked.shift()
      this.#ahead -= asked?.size ?? 0
      asked?.resolve(answer)
    })
    this.#worker.on('error', (error) => {
      this.#fail(error)
    })
    this.#watchdog = new Watchdog({
      limitMs: timeoutMs,
      isWaiting: () => this.#asked.length > 0,
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

  /** Transfers the values of the message. A reply that has no reader may fail. */
  ask(told: ThreadMessage): Promise<Answer> {
    const size = told.kind === 'slice' ? told.values.length : 0
    const answer = new Promise<Answer>((resolve, reject) => {
      if (this.#error) throw this.#error
      this.#worker.postMessage(told, told.kind === 'slice' ? [told.values.buffer as ArrayBuffer] : [])
      if (this.#asked.length === 0) this.#watchdog.reset()
      this.#asked.push({ size, resolve, reject })
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
    for (const { reject } of this.#asked.splice(0)) reject(error)
    this.#ended.abort()
  }
}
