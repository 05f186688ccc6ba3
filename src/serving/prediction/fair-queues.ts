import { ModelQueue } from './model-queue.ts'

/** The queues of all models. The model that used the least engine time recently comes first. */
export class FairQueues {
  readonly #queues = new Map<string, ModelQueue>()
  /** Virtual clock: the engine time of the model served last. An idle queue earns no credit. */
  #servedMs = 0

  /** The queue of a model. `isComputing` returns true if the engine has a batch of a queue. */
  open(model: string, isComputing: (queue: ModelQueue) => boolean): ModelQueue {
    this.#removeIdle(isComputing)
    const queue = this.#queues.get(model) ?? new ModelQueue(model)
    this.#queues.set(model, queue)
    if (queue.empty) queue.usedMs = Math.max(queue.usedMs, this.#servedMs)
    return queue
  }

  /** Advances the virtual clock to this queue, which is served now. */
  markServed(queue: ModelQueue): void {
    this.#servedMs = Math.max(this.#servedMs, queue.usedMs)
  }

  /** The queue with waiting requests that used the least engine time. */
  leastServed(fits: (queue: ModelQueue) => boolean): ModelQueue | undefined {
    let least: ModelQueue | undefined
    let leastMs = Infinity
    for (const queue of this.#queues.values()) {
      const ms = queue.usedMs + queue.expectedMs
      if (queue.empty || ms >= leastMs || !fits(queue)) continue
      least = queue
      leastMs = ms
    }
    return least
  }

  #removeIdle(isComputing: (queue: ModelQueue) => boolean): void {
    for (const queue of this.#queues.values())
      if (queue.empty && !isComputing(queue) && queue.usedMs <= this.#servedMs)
        this.#queues.delete(queue.model)
  }
}
