import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { passesOf, type Measurement, type RecordOptions, type TensorSource } from '../statistics/record.ts'
import { childEntry } from '../workers/worker.ts'
import type { Answer, Told } from './measuring.ts'
import { SLICE } from './sampler.ts'

/** The number of values that may be in flight to the thread: two slices. */
const AHEAD = 2 * SLICE

/** Measures on a worker thread while this thread draws the next slice. A thread that died is replaced. */
export class Measurer {
  #thread = new Thread()

  /** Begins a job. Jobs run one at a time; unfinished work of an earlier job is discarded. */
  begin({ digest }: { readonly digest: boolean }): Measuring {
    if (this.#thread.died) this.#thread = new Thread()
    const thread = this.#thread
    void thread.ask({ kind: 'job', digest })
    return new Measuring(thread)
  }

  async close(): Promise<void> {
    await this.#thread.close()
  }
}

/** The measurements of one job, in call order. Rejects if the thread dies. */
export class Measuring {
  readonly #thread: Thread

  constructor(thread: Thread) {
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
    const passes = passesOf(tensor, options)
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

interface Asked {
  readonly size: number
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

class Thread {
  readonly #worker = new Worker(childEntry('analysis/measuring.js'))
  readonly #asked: Asked[] = []
  #ahead = 0
  #error: Error | undefined

  constructor() {
    this.#worker.on('message', (answer: Answer) => {
      const asked = this.#asked.shift()
      this.#ahead -= asked?.size ?? 0
      asked?.resolve(answer)
    })
    this.#worker.on('error', (error) => {
      this.#error = error
      this.#ahead = 0
      for (const { reject } of this.#asked.splice(0)) reject(error)
    })
  }

  get died(): boolean {
    return this.#error !== undefined
  }

  /** Waits until this number of values may be sent. */
  async room(size: number): Promise<void> {
    while (this.#ahead > 0 && this.#ahead + size > AHEAD) await once(this.#worker, 'message')
  }

  /** Transfers the values of the message. A reply that has no reader may fail. */
  ask(told: Told): Promise<Answer> {
    const size = told.kind === 'slice' ? told.values.length : 0
    const answer = new Promise<Answer>((resolve, reject) => {
      if (this.#error) throw this.#error
      this.#worker.postMessage(told, told.kind === 'slice' ? [told.values.buffer as ArrayBuffer] : [])
      this.#asked.push({ size, resolve, reject })
      this.#ahead += size
    })
    answer.catch(() => undefined)
    return answer
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
  }
}
